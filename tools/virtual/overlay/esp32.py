# NVS over a JSON file beside the flash image, and the heap figures.
#
# Values set are seen at once by this program but reach the file only at commit(), in one rename:
# the worst case of the real store, which a firmware must survive.
import gc
import json

import _link
from binascii import hexlify, unhexlify

HEAP_DATA = 4
HEAP_EXEC = 1
_NOT_FOUND = -4354
_INVALID_LENGTH = -4364
_KEY_TOO_LONG = -4361

store = None  # {namespace: {key: int or hex text}}; filled by open_store
_fs = None
_path = ""
_step = None


def open_store(fs, path, step):
    global store, _fs, _path, _step
    _fs, _path, _step = fs, path, step
    try:
        f = fs.open(path, "r")
        store = json.load(f)
        f.close()
    except OSError:
        store = {}


class NVS:
    def __init__(self, namespace):
        _key(namespace)
        self._d = store.setdefault(namespace, {})

    def _get(self, key, kind):
        value = self._d.get(_key(key))
        if not isinstance(value, kind):
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return value

    def get_i32(self, key):
        return self._get(key, int)

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("i32")
        self._d[_key(key)] = value

    def get_blob(self, key, buf):
        value = self._get(key, str)
        if value == "@":  # a long one, in a file of its own (tools/virtual/nvs.py)
            with _fs.open(_path + "." + key, "rb") as f:
                return f.readinto(buf)
        value = unhexlify(value)
        if len(value) > len(buf):
            raise OSError(_INVALID_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        buf[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        if isinstance(value, str):
            value = value.encode()
        self._d[_key(key)] = hexlify(value).decode()

    def erase_key(self, key):
        self._get(key, (int, str))
        del self._d[key]

    def commit(self):
        _step()  # counts as one flash operation: power may fail before the rename
        tmp = _path + ".tmp"
        f = _fs.open(tmp, "w")
        json.dump(store, f)
        f.close()
        _fs.rename(tmp, _path)


def _key(key):
    if len(key) > 15:
        raise OSError(_KEY_TOO_LONG, "ESP_ERR_NVS_KEY_TOO_LONG")
    return key


def idf_heap_info(capabilities):
    # There is no IDF heap here: the one region told of is MicroPython's own.
    free = gc.mem_free()
    return [(free + gc.mem_alloc(), free, free, free)]
