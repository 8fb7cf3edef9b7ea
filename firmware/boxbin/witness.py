"""What NVS remembers of the journal, so that lines which flash loses at either end are missed.

`n` is the newest line that is in flash, `first` the oldest that no receipt has let go, `epoch`
whose they are. Each is old or new after a power cut, never between.
"""

from esp32 import NVS

NAMESPACE = "boxbin"
_EPOCH_CHARS = 8


class Witness:
    """`begin`, `wrote` and `let_go` raise OSError when NVS is full or broken; nothing else does."""

    def __init__(self):
        try:
            self._nvs = NVS(NAMESPACE)
        except OSError:
            self._nvs = None

    def seen(self):
        """(epoch, first, n); the epoch is "" when nothing was told or nothing can be read."""
        epoch = bytearray(_EPOCH_CHARS)
        try:
            self._open().get_blob("epoch", epoch)
            return epoch.decode(), self._nvs.get_i32("first"), self._nvs.get_i32("n")
        except (OSError, ValueError):
            return "", 0, 0

    def begin(self, epoch, first, n):
        """Another epoch. Its name comes last: the numbers alone say nothing of another journal."""
        nvs = self._open()
        nvs.set_i32("first", first)
        nvs.set_i32("n", n)
        nvs.set_blob("epoch", epoch)
        nvs.commit()

    def wrote(self, n):
        """Line `n` is in flash."""
        self._open().set_i32("n", n)
        self._nvs.commit()

    def let_go(self, first):
        """Lines before `first` are receipted and may be gone."""
        self._open().set_i32("first", first)
        self._nvs.commit()

    def _open(self):
        if self._nvs is None:
            raise OSError("NVS")
        return self._nvs
