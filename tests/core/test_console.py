from boxbin.core import console

CODE = "BBC1.0123456789ABCDEF"


def words_of(data, size=1):
    lines = console.Lines()
    found = []
    for at in range(0, len(data), size):
        found += lines.feed(data[at : at + size])
    return found


def test_lines_come_out_as_words_however_they_were_cut():
    data = b"help\r\nclock 1795000000\n\n  \r open   9 \nstatus"
    for size in (1, 2, 7, 100):
        assert words_of(data, size) == [["help"], ["clock", "1795000000"], ["open", "9"]], size


def test_backspace_and_escape():
    assert words_of(b"hex\x7f\x08elp\r") == [["help"]]
    assert words_of(b"\x08\x7fhelp\r") == [["help"]]
    assert words_of(b"restart\x1bhelp\r") == [["help"]]


def test_the_terminal_shows_what_is_typed_but_no_secret():
    lines = console.Lines()
    assert lines.feed(b"hel") == [] and lines.echo == "hel"
    lines.feed(b"\x7f")
    assert lines.echo == "\b \b"
    lines.feed(b"\x1bkey BBC1.0123")
    assert lines.echo == "key *********"
    lines.feed(b"\r")
    assert lines.echo == "\r\n"
    lines.feed(b"\n\x00\xff")
    assert lines.echo == ""


def test_noise_makes_no_command():
    for noise in (b"\xff", b"\x00", b"\t", b"\xc3\xa9", b"x" * console.LINE_BYTES_MAX):
        assert words_of(b"rest" + noise + b"restart\r") == [["?"]], noise
        assert words_of(noise + b"\rhelp\r")[-1] == ["help"], noise
    assert words_of(b"y" * console.LINE_BYTES_MAX + b"\r") == [["y" * console.LINE_BYTES_MAX]]


def test_a_line_without_end_stays_small():
    lines = console.Lines()
    for _ in range(100):
        assert lines.feed(b"z" * 100) == []
        assert len(lines._line) <= console.LINE_BYTES_MAX
    assert lines.feed(b"\rhelp\r") == [["?"], ["help"]]


def test_the_key_opens_for_five_minutes():
    lock = console.Lock(CODE)
    assert not lock.is_open(0)
    assert lock.turn(1_000, CODE) == "open for 5 minutes"
    assert lock.is_open(1_000 + console.OPEN_MS - 1)
    assert not lock.is_open(1_000 + console.OPEN_MS)


def test_after_three_wrong_keys_none_is_heard_for_a_minute():
    lock = console.Lock(CODE)
    for wrong in ("", CODE[:-1], CODE + "0", CODE.lower(), "BBC1.0123456789ABCDEG")[:3]:
        assert lock.turn(5_000, wrong) == "wrong key"
    assert lock.turn(5_001, CODE) == "wait 60 s"
    assert lock.turn(5_000 + console.PAUSE_MS - 1, CODE) == "wait 1 s"
    assert not lock.is_open(5_000 + console.PAUSE_MS - 1)
    lock.turn(5_000 + console.PAUSE_MS, CODE)
    assert lock.is_open(5_000 + console.PAUSE_MS)


def test_no_key_no_lock_that_opens():
    lock = console.Lock("")
    assert lock.turn(0, "") == "wrong key" and not lock.is_open(0)


class Desk:
    """A bin that notes what it is told to do, and whoever types at it."""

    def __init__(self):
        self.lock = console.Lock(CODE)
        self.done = []
        self.now_ms = 1_000

    def tell(self, word):
        return () if word == "faults" else (("id", "B-7K2QM"), ("heap", 24_000)) * 4

    def act(self, word, value):
        self.done.append((word, value))
        return word + " done"

    def type(self, line):
        return console.answer(line.split(), self.lock, self.now_ms, self.tell, self.act)


def test_commands():
    d = Desk()
    assert "clock <unix seconds>" in d.type("help")
    assert d.type("nonsense 1") == "nonsense: unknown, try help"
    assert d.type("faults") == "none"
    rows = d.type("status").split("\r\n")
    assert rows[0].startswith("id B-7K2QM   heap 24000   id") and len(rows) == 2
    assert all(len(row) <= 78 for row in rows)
    assert d.type("clock 1795000000") == "clock done"
    for bad in ("clock", "clock 17", "clock tomorrow", "clock 9999999999", "restart 1"):
        assert "a number from" in d.type(bad), bad
    assert d.type("restart") == "restart done"
    assert d.done == [("clock", 1_795_000_000), ("restart", 0)]


def test_what_opens_wants_the_key_first():
    d = Desk()
    for line in ("open", "open 5", "collect"):
        assert d.type(line).startswith("first: key"), line
    assert d.type("key") == "key: unknown, try help"
    assert d.type("key wrong") == "wrong key"
    assert d.type("key " + CODE) == "open for 5 minutes"
    assert d.type("open") == d.type("open 5") == "open done"
    assert d.type("collect") == "collect done"
    d.now_ms += console.OPEN_MS
    assert d.type("open").startswith("first: key")
    assert d.done == [("open", 30), ("open", 5), ("collect", 0)]


def test_numbers_that_are_none():
    d = Desk()
    d.type("key " + CODE)
    for tail in ("0", "301", "-1", "1.0", "1_0", "9" * 50, "1 2", "0x10"):
        assert d.type("open " + tail) == "open: a number from 1 to 300", tail
    assert d.type("open 1") == d.type("open 300") == "open done"
