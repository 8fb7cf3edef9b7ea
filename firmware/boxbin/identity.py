"""Who this bin is: id, keys and network, from the NVS partition, where a technician put them."""

from esp32 import NVS

from boxbin.core import wire

NAMESPACE = "boxback"
_BLOB_BYTES_MAX = 128
_NTP_PORT = 123


class IdentityError(ValueError):
    """The NVS partition does not hold a whole identity: the bin must be provisioned."""


class Identity:
    """All of it as attributes. Raises IdentityError that names the missing or wrong key."""

    def __init__(self):
        nvs = NVS(NAMESPACE)
        self.bin_id = _text(nvs, "bin")
        if not wire.is_bin_id(self.bin_id):
            raise IdentityError("NVS key bin is %r, not a bin id" % self.bin_id)
        self.key = _blob(nvs, "key", wire.KEY_BYTES)
        self.label_key = _blob(nvs, "label_key", wire.KEY_BYTES)
        self.wifi_ssid = _text(nvs, "wifi_ssid")
        self.wifi_key = _text(nvs, "wifi_key")
        self.broker_host = _text(nvs, "broker_host")
        self.broker_port = _number(nvs, "broker_port")
        self.ntp_host = _text(nvs, "ntp_host")
        self.ntp_port = _number(nvs, "ntp_port", _NTP_PORT)


def _blob(nvs, key, size=None):
    buffer = bytearray(_BLOB_BYTES_MAX)
    try:
        count = nvs.get_blob(key, buffer)
    except OSError:
        raise IdentityError("NVS key %s is missing" % key)
    if size is not None and count != size:
        raise IdentityError("NVS key %s has %d bytes, not %d" % (key, count, size))
    return bytes(buffer[:count])


def _text(nvs, key):
    try:
        return _blob(nvs, key).decode()
    except UnicodeError:
        raise IdentityError("NVS key %s is not UTF-8 text" % key)


def _number(nvs, key, default=None):
    try:
        return nvs.get_i32(key)
    except OSError:
        if default is None:
            raise IdentityError("NVS key %s is missing" % key)
        return default
