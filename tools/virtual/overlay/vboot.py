# Power-on of the virtual board: put the emulated modules in place, take the root file system over
# to the flash image, then do what the board does: /boot.py, then /main.py.
import sys

import uos

import _link

_fd = uos.getenv("BOXBACK_LINK")
_path = uos.getenv("BOXBACK_FLASH")
_nvs = uos.getenv("BOXBACK_NVS")
_script = uos.getenv("BOXBACK_SCRIPT")  # lab runs: a file of the host in place of /main.py
_cut = uos.getenv("BOXBACK_CUT")  # lab runs: "<operation>,<0 or 1 for torn>"


def _modules():
    # The order matters: each takes what it needs of the host while the host can still be reached.
    import time

    import _tasks

    sys.modules["_asyncio"] = _tasks  # a built-in module: a file of that name would not be found
    import esp32
    import machine
    import network
    import neopixel
    import os
    import select
    import socket
    import ssl

    import asyncio
    import asyncio.stream

    if _link.virtual:
        import random

        random.seed(_link.hello["seed"])


def _mount():
    import struct

    import esp32
    import os
    import vfs
    from _flash import Flash

    script = None
    if _script:
        with open(_script) as f:
            script = f.read()
    host = vfs.VfsPosix()
    flash = Flash(_path, 512)
    if _cut:
        operation, torn = _cut.split(",")
        flash.fuse(int(operation), int(torn))

    def on_cut(body):
        flash.fuse(*struct.unpack("<IB", body))

    _link.handlers[_link.EV_CUT] = on_cut
    cut = _link.hello.get("cut")
    if cut:
        flash.fuse(*cut)
    esp32.open_store(host, _nvs, flash.step)
    # umount("/") would run the host's umount of open files; the files above stay open.
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(flash), "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    return script


def _run(path):
    try:
        with open(path) as f:
            # Compiled first: the text must not lie in the heap for as long as the program runs.
            code = compile(f.read(), path, "exec")
    except OSError:
        return
    exec(code, {"__name__": "__main__", "__file__": path})


def start():
    if _fd:
        _link.begin(int(_fd))
    else:
        _link.hello = {"virtual": False, "cause": 1, "uid": "0200b0bbac00", "speed": 1}
        _link.begin_alone()
    _modules()
    script = _mount()
    try:
        if script is not None:
            exec(script, {"__name__": "__main__"})
        else:
            _run("/boot.py")
            _run("/main.py")
    except SystemExit:
        raise
    except BaseException as e:
        _link.crash(e)
        sys.exit(1)
    _link.flush()


start()
