"""The firmware's own few values in NVS, which outlive the file system.

Names in the namespace `boxbin`:

    boots      the boot ledger, a text             (this start, and once when it has lasted)
    done       id of the newest command done       (each command)
    trial      starts with settings on trial       (each of them)
    refused    newest version of settings refused  (then)
    tell       version whose roll-back must still be told
    minutes    the time when it was known last, Unix minutes
    n, first, epoch   the journal's witness (witness.py)
"""

from esp32 import NVS

from boxbin.log import log

NAMESPACE = "boxbin"
_TEXT_BYTES_MAX = 1_100


def number(name):
    """The number kept under that name, 0 when there is none."""
    try:
        return NVS(NAMESPACE).get_i32(name)
    except OSError:
        return 0


def put(name, value):
    """Keep a number; a store that fails is told and costs nothing else."""
    try:
        nvs = NVS(NAMESPACE)
        nvs.set_i32(name, value)
        nvs.commit()
    except OSError as error:
        log("nvs", name, error)


def text(name):
    """The text kept under that name, "" when there is none."""
    buffer = bytearray(_TEXT_BYTES_MAX)
    try:
        size = NVS(NAMESPACE).get_blob(name, buffer)
        return bytes(buffer[:size]).decode()
    except (OSError, UnicodeError):
        return ""


def put_text(name, value):
    """Keep a text."""
    try:
        nvs = NVS(NAMESPACE)
        nvs.set_blob(name, value.encode())
        nvs.commit()
    except OSError as error:
        log("nvs", name, error)
