"""A DNS question and its answer (RFC 1035), as bytes. IPv4 addresses only."""

PORT = 53
ANSWER_BYTES_MAX = 512  # over UDP
_POINTER = 0xC0
_NAMES_MAX = 128  # labels passed over in one answer
_QUERY, _RECURSION = 0x80, 0x01


class DnsError(ValueError):
    """An answer that says nothing; the first argument says why."""


def question(number, host):
    """The packet that asks for the addresses of `host`; `number` (16 bits) must be random."""
    out = bytes((number >> 8, number & 255, _RECURSION, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    for label in host.rstrip(".").split("."):
        data = label.encode()
        if not 0 < len(data) < 64:
            raise DnsError("%r is no host name" % host)
        out += bytes((len(data),)) + data
    return out + b"\x00\x00\x01\x00\x01"


def answer(number, asked, packet):
    """The first address in the answer to `asked` (the question's bytes), as "a.b.c.d".

    Raises DnsError: not our answer, an error of the server's, or no address in it.
    """
    if len(packet) < len(asked) or packet[0] << 8 | packet[1] != number or not packet[2] & _QUERY:
        raise DnsError("not an answer to us")
    if packet[12 : len(asked)].lower() != asked[12:].lower():
        raise DnsError("an answer to another question")
    code = packet[3] & 15
    if code:
        raise DnsError("no such name" if code == 3 else "server says %d" % code)
    at = len(asked)
    for _ in range(packet[6] << 8 | packet[7]):
        at = _after_name(packet, at)
        if at + 10 > len(packet):
            break
        kind = packet[at] << 8 | packet[at + 1]
        size = packet[at + 8] << 8 | packet[at + 9]
        at += 10
        if kind == 1 and size == 4 and at + 4 <= len(packet):
            return "%d.%d.%d.%d" % tuple(packet[at : at + 4])
        at += size
    raise DnsError("no address")


def _after_name(packet, at):
    for _ in range(_NAMES_MAX):
        if at >= len(packet):
            break
        size = packet[at]
        if size & _POINTER == _POINTER:
            return at + 2
        at += 1 + size
        if not size:
            return at
    raise DnsError("name cut short")


def is_address(host):
    """True for "a.b.c.d": nothing to look up."""
    parts = host.split(".")
    if len(parts) != 4:
        return False
    for part in parts:
        if not 1 <= len(part) <= 3 or not part.isdigit() or int(part) > 255:
            return False
    return True
