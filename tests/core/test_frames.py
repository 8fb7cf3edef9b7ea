from boxbin.drivers import frames


def unhex(text):
    return bytes(int(text[i : i + 2], 16) for i in range(0, len(text), 2))


def test_frames_are_those_of_the_manual():
    # facts/hardware.md
    assert frames.command(frames.WRITE, 0x0A, b"\x3e") == unhex("7e000801000a3e4ccf")
    assert frames.command(frames.READ, 0x0A, b"\x01") == unhex("7e000701000a01ee8a")
    assert frames.command(frames.SAVE, 0, b"\x00") == unhex("7e000901000000dec8")
    assert frames.command(frames.WRITE, 2, b"\x01") == unhex("7e00080100020102da")


def test_replies_and_texts_fall_between_each_other():
    data = (
        b"ABC\r" + unhex("020000010033 31".replace(" ", "")) + b"DEF\r\n" + unhex("020000013ee4ac")
    )
    expected = [
        ("scan", "ABC"),
        ("reply", 0, b"\x00"),
        ("scan", "DEF"),
        ("reply", 0, b"\x3e"),
    ]
    for size in (1, 2, 3, 7, len(data)):
        stream = frames.Stream()
        events = []
        for at in range(0, len(data), size):
            events += stream.feed(data[at : at + size])
        assert events == expected, (size, events)
        assert stream.dropped == 0


def test_a_reply_with_a_wrong_crc_is_dropped_and_counted():
    stream = frames.Stream()
    assert stream.feed(unhex("020000013ee4ad")) == []
    assert stream.dropped == 7
    stream.quiet()
    assert stream.feed(b"OK\r") == [("scan", "OK")]


def test_a_code_that_lost_its_beginning_or_its_middle_is_no_code():
    # Noise that looks like the start of a reply eats what follows; a waybill without its first
    # digits would be another waybill.
    for noise in (b"\x02\x00", b"\x02\x00\x00\x05", b"\x02\x00\x00\x00", b"\x02", b"\xff"):
        for line in (noise + b"SF1234567890", b"SF12" + noise + b"34567890"):
            stream = frames.Stream()
            events = stream.feed(line + b"\rGOOD\r")
            while not events:
                events = stream.feed(b"\rGOOD\r")  # the first may still lie in what is no reply
            assert events[0] == ("scan", "GOOD"), (line, events)


def test_a_code_is_read_after_what_only_began_like_a_reply():
    assert frames.Stream().feed(b"\x02\x00\x00\x05\rGOOD1234\r") == [("scan", "GOOD1234")]
    assert frames.Stream().feed(b"\x02\x02\x00\x00\x01\x3e\xe4\xac") == [("reply", 0, b"\x3e")]


def test_what_cannot_be_a_code_is_dropped_to_the_end_of_the_line():
    stream = frames.Stream()
    assert stream.feed(b"x" * (frames.TEXT_BYTES_MAX + 1) + b"y\r") == []
    assert stream.feed(b"\xff\xfeAB\r") == []
    assert stream.dropped > frames.TEXT_BYTES_MAX
    assert stream.feed(b"GOOD\r") == [("scan", "GOOD")]


def test_after_silence_noise_does_not_swallow_the_next_code():
    for noise in (b"half a te", b"\x00\xff", b"\x02", b"\x02\x00", b"\x02\x00\x00\x05ab"):
        stream = frames.Stream()
        stream.feed(noise)
        stream.quiet()
        assert stream.feed(b"GOOD\r") == [("scan", "GOOD")], noise


def test_random_bytes_stay_bounded_and_the_next_code_works():
    stream = frames.Stream()
    seed = 12345
    for _ in range(300):
        chunk = bytearray()
        for _ in range(64):
            seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
            chunk.append(seed >> 16 & 0xFF)
        for event in stream.feed(bytes(chunk)):
            assert event[0] in ("scan", "reply")
            if event[0] == "scan":
                assert 0 < len(event[1]) <= frames.TEXT_BYTES_MAX
        assert len(stream._text) <= frames.TEXT_BYTES_MAX
        assert len(stream._held) < frames.HELD_BYTES_MAX
    stream.quiet()
    assert stream.feed(b"GOOD\r") == [("scan", "GOOD")]
