"""The bin's MQTT client: an asyncio shell around the packets of core/mqtt.py.

Each read and write has a limit, a silent broker is found by a ping. What is sent again after a
reconnect is decided in link.py.
"""

import asyncio

from boxbin.core import mqtt

CONNECT_MS = 10_000
WRITE_MS = 10_000
KEEPALIVE_S = 40
PING_MS = 20_000
SILENCE_MS = 45_000  # two pings without any byte from the broker
READ_BYTES = 512


class LinkDown(OSError):
    """The link to the broker ended; the first argument says why."""


class Refused(LinkDown):
    """The broker does not want us, or we do not trust it: a person must mend that."""


class BadPacket(LinkDown):
    """The broker sent bytes that are no packet for us; in a kept session it would do so again."""


class Client:
    """One connection; make a new one for the next."""

    def __init__(self, uptime_ms):
        self._uptime_ms = uptime_ms
        self._parser = mqtt.Parser()
        self._lock = asyncio.Lock()
        self._packets = []
        self._reader = self._writer = None
        self.session_present = False

    async def connect(self, address, port, user, password, will_topic, clean, tls, name):
        """Open the connection and wait for CONNACK; `tls` is a context or None, `name` whom its
        certificate must name. Raises LinkDown.
        """
        where = "%s:%d" % (address, port)
        try:
            self._reader, self._writer = await asyncio.wait_for_ms(
                asyncio.open_connection(address, port, ssl=tls, server_hostname=name), CONNECT_MS
            )
            await self._send(
                mqtt.connect(user, user, password, KEEPALIVE_S, clean, will_topic, b"0")
            )
            packet = await asyncio.wait_for_ms(self._next(), CONNECT_MS)
        except asyncio.TimeoutError:
            raise LinkDown("no answer from %s in %d ms" % (where, CONNECT_MS))
        except LinkDown:
            raise
        except OSError as error:
            raise LinkDown("%s: %r" % (where, error))
        if packet[0] != mqtt.CONNACK:
            raise LinkDown("packet %d in place of CONNACK" % packet[0])
        if packet[2]:
            reason = mqtt.CONNECT_REFUSED.get(packet[2], "code %d" % packet[2])
            raise Refused("refused: " + reason)
        self.session_present = packet[1]

    async def publish(self, topic, payload, packet_id=0, retain=False, dup=False):
        """Send a PUBLISH; QoS 1 when it has a packet id. Raises LinkDown."""
        head = mqtt.publish_head(topic, len(payload), packet_id, retain, dup)
        await self._send(head, payload)

    async def subscribe(self, packet_id, topics):
        """Send a SUBSCRIBE. Raises LinkDown."""
        await self._send(mqtt.subscribe(packet_id, topics))

    async def receive(self):
        """The next packet; QoS 1 messages are acknowledged.

        Pings when the link is quiet, so that a packet comes at the latest after SILENCE_MS, or
        LinkDown is raised.
        """
        heard_ms = self._uptime_ms()
        while True:
            try:
                packet = await asyncio.wait_for_ms(self._next(), PING_MS)
            except asyncio.TimeoutError:
                if self._uptime_ms() - heard_ms > SILENCE_MS:
                    raise LinkDown("broker silent for %d ms" % (self._uptime_ms() - heard_ms))
                await self._send(mqtt.PINGREQ)
                continue
            if packet[0] == mqtt.PUBLISH and packet[3]:
                await self._send(mqtt.puback(packet[3]))
            return packet

    async def close(self):
        """End the connection at once; the broker publishes the last will.

        In MicroPython it is `wait_closed` that closes the socket; `close` does nothing.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.wait_closed()

    async def _next(self):
        while not self._packets:
            if self._reader is None:
                raise LinkDown("not connected")
            try:
                data = await self._reader.read(READ_BYTES)
            except (OSError, ValueError) as error:
                raise _down("read", error)
            if not data:
                raise LinkDown("closed by the broker")
            try:
                self._packets = self._parser.feed(data)
            except (mqtt.MqttError, MemoryError) as error:
                raise BadPacket("broker sent %s" % error)
        return self._packets.pop(0)

    async def _send(self, packet, payload=b""):
        async with self._lock:
            if self._writer is None:  # looked at with the lock in hand: who had it may have closed
                raise LinkDown("not connected")
            try:
                self._writer.write(packet)
                if payload:
                    self._writer.write(payload)
                await asyncio.wait_for_ms(self._writer.drain(), WRITE_MS)
            except asyncio.TimeoutError:
                raise LinkDown("broker took nothing for %d ms" % WRITE_MS)
            except (OSError, ValueError) as error:
                raise _down("write", error)


def _down(what, error):
    """The LinkDown for an error of the socket's. The TLS handshake happens in the first write; what
    it holds against a certificate comes as a ValueError in words.
    """
    if isinstance(error, ValueError):
        return Refused("certificate: %s" % error)
    return LinkDown("%s: %r" % (what, error))
