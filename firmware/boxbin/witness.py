"""What NVS remembers of the journal, so that lines which flash loses at either end are missed.

`n` is the newest line that is in flash, `first` the oldest that no receipt has let go, `epoch`
whose they are. Each is old or new after a power cut, never between.
"""

from esp32 import NVS

NAMESPACE = "boxbin"
_EPOCH_CHARS = 8


def open_witness():
    """The witness, or None when NVS cannot be opened: the journal goes on without."""
    try:
        return Witness()
    except OSError:
        return None


class Witness:
    """`begin`, `wrote` and `let_go` raise OSError when NVS is full or broken."""

    def __init__(self):
        self._nvs = NVS(NAMESPACE)

    def seen(self):
        """(epoch, first, n); the epoch is "" when nothing was told or nothing can be read."""
        epoch = bytearray(_EPOCH_CHARS)
        try:
            self._nvs.get_blob("epoch", epoch)
            return epoch.decode(), self._nvs.get_i32("first"), self._nvs.get_i32("n")
        except (OSError, ValueError):
            return "", 0, 0

    def begin(self, epoch, first, n):
        """Another epoch. Its name comes last: the numbers alone say nothing of another journal."""
        self._nvs.set_i32("first", first)
        self._nvs.set_i32("n", n)
        self._nvs.set_blob("epoch", epoch)
        self._nvs.commit()

    def wrote(self, n):
        """Line `n` is in flash."""
        self._nvs.set_i32("n", n)
        self._nvs.commit()

    def let_go(self, first):
        """Lines before `first` are receipted and may be gone."""
        self._nvs.set_i32("first", first)
        self._nvs.commit()
