from boxbin.core import mqtt


def test_connect_has_a_retained_will_and_credentials():
    packet = mqtt.connect("B-7K2QM", "u", "p", 40, False, "t/online", b"0")
    assert packet == (
        b"\x10\x26\x00\x04MQTT\x04\xec\x00\x28\x00\x07B-7K2QM\x00\x08t/online\x00\x010\x00\x01u\x00\x01p"
    )
    assert mqtt.connect("B-7K2QM", "u", "p", 40, True, "t", b"0")[9] == 0xEE


def test_publish_by_quality_of_service():
    assert mqtt.publish("a/b", b"xy") == b"\x30\x07\x00\x03a/bxy"
    assert mqtt.publish("a/b", b"xy", 7, retain=True) == b"\x33\x09\x00\x03a/b\x00\x07xy"
    assert mqtt.publish("a/b", b"xy", 7, dup=True)[0] == 0x3A
    long = mqtt.publish("t", b"z" * 200)
    assert long[1:3] == bytes((0xCB, 0x01)) and len(long) == 3 + 203


def test_subscribe_and_puback():
    assert mqtt.subscribe(1, (("a", 1), ("b", 0))) == b"\x82\x0a\x00\x01\x00\x01a\x01\x00\x01b\x00"
    assert mqtt.puback(258) == b"\x40\x02\x01\x02"


STREAM = (
    b"\x20\x02\x01\x00"
    b"\x90\x04\x00\x01\x01\x00"
    + mqtt.publish("boxback/1/ab/B-7K2QM/receipt", b"r" * 150, 9)
    + b"\x40\x02\x00\x05"
    + mqtt.publish("t", b"")
    + b"\xd0\x00"
)
PACKETS = [
    (mqtt.CONNACK, True, 0),
    (mqtt.SUBACK, 1, b"\x01\x00"),
    (mqtt.PUBLISH, "boxback/1/ab/B-7K2QM/receipt", b"r" * 150, 9, False),
    (mqtt.PUBACK, 5),
    (mqtt.PUBLISH, "t", b"", 0, False),
    (mqtt.PINGRESP,),
]


def test_packets_cut_at_every_byte_come_out_whole():
    for cut in range(len(STREAM) + 1):
        parser = mqtt.Parser()
        assert parser.feed(STREAM[:cut]) + parser.feed(STREAM[cut:]) == PACKETS, cut


def test_bytes_that_no_broker_sends_end_the_link():
    for bad in (
        b"\x00\x00",
        b"HTTP/1.1 400",  # would be a PUBACK of 84 bytes
        b"\x10\x00",  # CONNECT
        b"\x36\x05\x00\x01t\x00\x01",  # QoS 3
        b"\x34\x05\x00\x01t\x00\x01",  # QoS 2
        b"\x32\x05\x00\x01t\x00\x00",  # packet id 0
        b"\x32\x03\x00\x01t",  # no packet id
        b"\x30\x03\x00\x09t",  # topic longer than the packet
        b"\x30\x05\x00\x02\xff\xfeX",  # topic not UTF-8
        b"\x20\x03\x00\x00\x00",
        b"\x21\x02\x00\x00",
        b"\xd0\x01\x00",
        b"\x30\xff\xff\xff\xff",
        b"\x30\xff\xff\xff\x7f",  # too large
    ):
        try:
            mqtt.Parser().feed(bad)
        except mqtt.MqttError:
            continue
        raise AssertionError(bad)


def test_random_bytes_raise_only_mqtt_errors_and_stay_bounded():
    seed = 99
    for _ in range(400):
        parser = mqtt.Parser()
        try:
            for _ in range(20):
                chunk = bytearray()
                for _ in range(32):
                    seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
                    chunk.append(seed >> 16 & 0xFF)
                parser.feed(bytes(chunk))
                assert len(parser._buffer) <= mqtt.PACKET_BYTES_MAX + 5 + 32
        except mqtt.MqttError:
            pass
