# The ESP32 port's os: without the host's shell and environment, with uname; random bytes follow
# the world's seed in virtual time, so that the same seed gives the same run.
import _link
import uos
from uos import (
    VfsFat,
    VfsLfs2,
    chdir,
    getcwd,
    ilistdir,
    listdir,
    mkdir,
    mount,
    remove,
    rename,
    rmdir,
    stat,
    umount,
    unlink,
)

_drawn = 0
_room = [None, 0, 0, None]  # path, erases, programs, what statvfs said then


def urandom(n):
    if not _link.virtual:
        return uos.urandom(n)
    global _drawn
    import hashlib

    out = b""
    while len(out) < n:
        _drawn += 1
        out += hashlib.sha256(b"%d %d" % (_link.hello["seed"], _drawn)).digest()
    return out[:n]


def statvfs(path):
    # It walks the whole file system, a thousand reads; while nothing was written the answer stays.
    if _room[:3] != [path, _link.stats[0], _link.stats[1]]:
        _room[3] = uos.statvfs(path)
        _room[:3] = [path, _link.stats[0], _link.stats[1]]
    return _room[3]


def uname():
    return ("esp32", "esp32", "1.29.0", "virtual", "Boxback virtual board with ESP32")
