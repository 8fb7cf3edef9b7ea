"""What a technician types at the serial console: lines from single bytes, commands, the key's lock.

Loaded when the first byte comes (console.py), so that it costs the heap of a bin nothing otherwise.
Bounded and deaf to noise: a line keeps at most LINE_BYTES_MAX; one that is longer, or has a byte in
it that nobody types, is spoilt to its end and comes out as the word `?`, which is no command. So
noise can cut a command off, but not make one of another.
"""

from . import wire

LINE_BYTES_MAX = 64
OPEN_MS = 300_000  # how long the key code opens what it locks
TRIES = 3
PAUSE_MS = 60_000  # after so many wrong codes
_ROW_CHARS = 78
OPEN_S, OPEN_S_MAX = 30, 300
UNIX_S_MIN, UNIX_S_MAX = 1_704_067_200, 4_102_444_800  # 2024 to 2100
TOLD = ("status", "faults", "boots", "settings")
HELP = (
    "help | status | faults | boots | settings | clock <unix seconds> | restart\r\n"
    "with the key: key <code> | open [seconds] | collect"
)
_HIDDEN = b"key "  # what follows is a secret: no screen and no log shows it


class Lines:
    """Feed bytes in pieces of any size, get the words of each whole line out.

    `echo` is what the terminal shows for the bytes fed last. CR and LF both end a line, backspace
    and DEL take a character away, Escape the whole line.
    """

    def __init__(self):
        self._line = bytearray()
        self._spoilt = False
        self.echo = ""

    def feed(self, data):
        """The lines that `data` completes, each as a list of words; empty lines are passed by."""
        lines = []
        self.echo = ""
        for byte in data:
            if byte in (0x0D, 0x0A):
                if self._line or self._spoilt:
                    self.echo += "\r\n"
                words = ["?"] if self._spoilt else bytes(self._line).decode().split()
                if words:
                    lines.append(words)
                self.drop()
            elif not self._spoilt:
                self._type(byte)
        return lines

    def _type(self, byte):
        line = self._line
        if 0x20 <= byte <= 0x7E and len(line) < LINE_BYTES_MAX:
            self.echo += "*" if line.startswith(_HIDDEN) else chr(byte)
            line.append(byte)
        elif byte in (0x08, 0x7F):
            if line:
                self._line = line[:-1]
                self.echo += "\b \b"
        else:
            self.drop()
            self._spoilt = byte != 0x1B

    def drop(self):
        """Forget what was typed of a line."""
        self._line = bytearray()
        self._spoilt = False


class Lock:
    """Opens for a while to the key code. Three wrong ones and it listens to none for a minute."""

    def __init__(self, key_code):
        self._key_code = key_code.encode()
        self._wrong = 0
        self._until_ms = self._deaf_until_ms = 0

    def is_open(self, now_ms):
        """Whether what is locked may be done now."""
        return now_ms < self._until_ms

    def turn(self, now_ms, text):
        """Try a code; returns what to answer."""
        if now_ms < self._deaf_until_ms:
            return "wait %d s" % ((self._deaf_until_ms - now_ms + 999) // 1000)
        if self._key_code and wire.same(self._key_code, text.encode()):
            self._wrong = 0
            self._until_ms = now_ms + OPEN_MS
            return "open for %d minutes" % (OPEN_MS // 60_000)
        self._wrong += 1
        if self._wrong >= TRIES:
            self._wrong = 0
            self._deaf_until_ms = now_ms + PAUSE_MS
        return "wrong key"


def answer(words, lock, now_ms, tell, act):
    """Do one command; returns what to print.

    `tell(word)` gives (name, value) pairs for each word of TOLD; `act(word, number)` does `clock`
    (Unix s), `restart`, `open` (s) or `collect` and returns a short answer.
    """
    word = words[0]
    if word == "help" or word in TOLD:
        return HELP if word == "help" else _rows(tell(word))
    if word == "key" and len(words) == 2:
        return lock.turn(now_ms, words[1])
    least = most = default = 0
    if word == "clock":
        least, most, default = UNIX_S_MIN, UNIX_S_MAX, -1
    elif word == "open":
        least, most, default = 1, OPEN_S_MAX, OPEN_S
    elif word not in ("restart", "collect"):
        return word + ": unknown, try help"
    value = _number(words, default)
    if not least <= value <= most:
        return "%s: a number from %d to %d" % (word, least, most)
    if word in ("open", "collect") and not lock.is_open(now_ms):
        return "first: key <code of the technician's card>"
    return act(word, value)


def _number(words, default):
    """The one number behind a command word; -1 when it is none."""
    if len(words) == 1:
        return default
    if len(words) > 2 or len(words[1]) > 10:
        return -1
    for digit in words[1]:
        if not "0" <= digit <= "9":
            return -1
    return int(words[1])


def _rows(pairs):
    """Names and values, as many in a row as a terminal has room for."""
    text = row = ""
    for name, value in pairs:
        cell = "%s %s" % (name, value)
        if row and len(row) + len(cell) + 3 > _ROW_CHARS:
            text += row + "\r\n"
            row = ""
        row += "   " + cell if row else cell
    return text + row or "none"
