"""MQTT 3.1.1 packets without I/O: what a bin needs to speak, and to read from any broker.

OASIS MQTT 3.1.1, sections 2 and 3. QoS 0 and 1. The parser is bounded: a packet larger than
PACKET_BYTES_MAX, or one that breaks the format, raises MqttError and the link is closed.
"""

# The largest that a bin is sent is a settings document: 2 KiB and its topic. Taken apart, a packet
# lies in memory up to four times: 9 KiB would be more than a bin has left.
PACKET_BYTES_MAX = 2_304

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
_KNOWN = (CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP)

CONNECT_REFUSED = {
    1: "protocol version",
    2: "client id",
    3: "server unavailable",
    4: "user name or password",
    5: "not authorised",
}


class MqttError(ValueError):
    """Bytes that are no MQTT 3.1.1 packet, or one that a broker must not send."""


def _text(value):
    data = value if isinstance(value, (bytes, bytearray)) else value.encode()
    return bytes((len(data) >> 8, len(data) & 0xFF)) + data


def _packet(first, body, more=0):
    """A packet, of whose body the last `more` bytes are sent by the caller."""
    size = len(body) + more
    head = bytearray((first,))
    while True:
        size, digit = size >> 7, size & 0x7F
        head.append(digit | 0x80 if size else digit)
        if not size:
            return bytes(head) + body


def connect(client_id, user, password, keepalive_s, clean, will_topic, will):
    """CONNECT with a retained QoS 1 last will."""
    flags = 0x80 | 0x40 | 0x20 | 0x08 | 0x04 | (0x02 if clean else 0)
    return _packet(
        0x10,
        b"\x00\x04MQTT\x04"
        + bytes((flags, keepalive_s >> 8, keepalive_s & 0xFF))
        + _text(client_id)
        + _text(will_topic)
        + _text(will)
        + _text(user)
        + _text(password),
    )


def publish(topic, payload, packet_id=0, retain=False, dup=False):
    """PUBLISH; QoS 1 when a packet id (1 to 65535) is given, QoS 0 otherwise."""
    return publish_head(topic, len(payload), packet_id, retain, dup) + payload


def publish_head(topic, size, packet_id=0, retain=False, dup=False):
    """A PUBLISH up to its payload of `size` bytes: a batch of lines need not be copied."""
    first = 0x30 | (0x02 if packet_id else 0) | (0x01 if retain else 0) | (0x08 if dup else 0)
    head = _text(topic)
    if packet_id:
        head += bytes((packet_id >> 8, packet_id & 0xFF))
    return _packet(first, head, size)


def subscribe(packet_id, topics):
    """SUBSCRIBE to (topic, qos) pairs."""
    body = bytes((packet_id >> 8, packet_id & 0xFF))
    for topic, qos in topics:
        body += _text(topic) + bytes((qos,))
    return _packet(0x82, body)


def puback(packet_id):
    """PUBACK"""
    return bytes((0x40, 2, packet_id >> 8, packet_id & 0xFF))


PINGREQ = b"\xc0\x00"


class Parser:
    """Feed bytes in pieces of any size, get whole packets out.

    Packets are tuples that begin with their type:
    (CONNACK, session_present, code), (PUBLISH, topic, payload, packet_id or 0, dup),
    (PUBACK, packet_id), (SUBACK, packet_id, codes), (PINGRESP,).
    """

    def __init__(self):
        self._buffer = bytearray()

    def feed(self, data):
        """Return the list of packets that `data` completes. Raises MqttError."""
        self._buffer += data
        packets = []
        while True:
            size, at = self._length()
            if size is None or len(self._buffer) < at + size:
                return packets
            first = self._buffer[0]
            body = bytes(self._buffer[at : at + size])
            self._buffer = self._buffer[at + size :]
            packets.append(_read(first, body))

    def _length(self):
        """(body size, where it begins), or (None, 0) while the head is not whole."""
        buffer = self._buffer
        if buffer:
            # Looked at before the length is believed: what is no MQTT must not be waited for.
            kind = buffer[0] >> 4
            if kind not in _KNOWN or (kind != PUBLISH and buffer[0] & 0x0F):
                raise MqttError("first byte 0x%02x" % buffer[0])
        size = 0
        for i in range(1, 5):
            if i >= len(buffer):
                return None, 0
            size |= (buffer[i] & 0x7F) << (7 * (i - 1))
            if not buffer[i] & 0x80:
                if size > PACKET_BYTES_MAX:
                    raise MqttError("packet of %d bytes, at most %d" % (size, PACKET_BYTES_MAX))
                return size, i + 1
        raise MqttError("length of more than four bytes")


def _read(first, body):
    kind = first >> 4
    if kind == PUBLISH:
        return _read_publish(first, body)
    if kind == PINGRESP and not body:
        return (PINGRESP,)
    if kind == CONNACK and len(body) == 2:
        return CONNACK, bool(body[0] & 1), body[1]
    if kind == PUBACK and len(body) == 2:
        return PUBACK, body[0] << 8 | body[1]
    if kind == SUBACK and len(body) >= 3:
        return SUBACK, body[0] << 8 | body[1], body[2:]
    raise MqttError("packet type %d with %d bytes" % (kind, len(body)))


def _read_publish(first, body):
    qos = first >> 1 & 3
    if qos > 1 or len(body) < 2:
        raise MqttError("publish with QoS %d and %d bytes" % (qos, len(body)))
    size = body[0] << 8 | body[1]
    at = 2 + size
    packet_id = 0
    if qos:
        if len(body) < at + 2:
            raise MqttError("publish cut short")
        packet_id = body[at] << 8 | body[at + 1]
        if not packet_id:
            raise MqttError("publish with packet id 0")
        at += 2
    if len(body) < at:
        raise MqttError("publish cut short")
    try:
        topic = body[2 : 2 + size].decode()
    except UnicodeError:
        raise MqttError("topic is not UTF-8")
    if "\0" in topic:
        raise MqttError("topic with NUL")
    return PUBLISH, topic, body[at:], packet_id, bool(first & 8)
