from boxbin.core import dns

ASKED = dns.question(0x1234, "broker.example.org")
HEAD = b"\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00"
CNAME = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x07\x04real\xc0\x13"
A = b"\xc0\x2c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x07"
ANSWER = HEAD + ASKED[12:] + CNAME + A


def refused(packet, number=0x1234):
    try:
        dns.answer(number, ASKED, packet)
    except dns.DnsError as error:
        return str(error)
    raise AssertionError(packet)


def test_a_question_is_what_rfc_1035_says():
    assert ASKED == (
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
        b"\x06broker\x07example\x03org\x00\x00\x01\x00\x01"
    )
    for host in ("", "a..b", "x" * 64 + ".org", "."):
        try:
            dns.question(1, host)
        except dns.DnsError as error:
            assert "no host name" in str(error)
        else:
            raise AssertionError(host)


def test_the_address_behind_an_alias_is_found():
    assert dns.answer(0x1234, ASKED, ANSWER) == "10.0.0.7"
    shouted = HEAD + ASKED[12:].upper() + CNAME + A
    # The type and class bytes have no case; a resolver may answer in another one.
    assert dns.answer(0x1234, ASKED, shouted) == "10.0.0.7"


def test_answers_that_say_nothing_are_told_apart():
    assert refused(ANSWER, 0x4321) == "not an answer to us"
    assert refused(b"") == "not an answer to us"
    assert refused(ASKED) == "not an answer to us"
    assert refused(ANSWER.replace(b"broker", b"brokes")) == "an answer to another question"
    assert refused(b"\x12\x34\x81\x83" + ANSWER[4:]) == "no such name"
    assert refused(b"\x12\x34\x81\x82" + ANSWER[4:]) == "server says 2"
    assert refused(HEAD + ASKED[12:] + CNAME) in ("no address", "name cut short")


def test_an_answer_cut_anywhere_or_made_of_noise_is_refused():
    for size in range(len(ANSWER)):
        refused(ANSWER[:size])
    seed = 1
    for _ in range(2_000):
        noise = bytearray(ANSWER)
        for _ in range(3):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            noise[len(ASKED) + seed % (len(noise) - len(ASKED))] = seed >> 16 & 255
        try:
            assert dns.is_address(dns.answer(0x1234, ASKED, bytes(noise)))
        except dns.DnsError:
            pass


def test_addresses_need_no_question():
    for host in ("127.0.0.1", "10.0.0.255"):
        assert dns.is_address(host)
    for host in (
        "",
        "1.2.3",
        "1.2.3.256",
        "1.2.3.4.5",
        "a.b.c.d",
        "1.2.3.",
        "1.2.3.-4",
        "localhost",
    ):
        assert not dns.is_address(host), host
