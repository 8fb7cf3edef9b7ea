"""The link to the gateway: journal lines up until a signed receipt covers them, outcomes down.

Sending is go-back-N: from the oldest unreceipted line, one bounded batch at a time; when no
receipt comes in time, the same lines again. A PUBACK counts for nothing (facts/mqtt.md).
Reconnects wait a random time out of a whole window (full jitter), which doubles up to a limit, so
that a broker's restart does not bring all bins back in one second.
"""

import asyncio
import gc
import random

from boxbin.core import mqtt, wire
from boxbin.log import log
from boxbin.mqttclient import BadPacket, Client, LinkDown
from boxbin.wifi import Wifi


class Link:
    """Runs for ever in `run`. `on_outcome(n, status, points, balance)` is called for each outcome
    of this journal; `describe()` gives the health message as ordered pairs.
    """

    def __init__(self, identity, settings, clock, flash, on_outcome, describe):
        self._identity = identity
        self._settings = settings
        self._clock = clock
        self._flash = flash
        self._on_outcome = on_outcome
        self._describe = describe
        self._wifi = Wifi(identity.wifi_ssid, identity.wifi_key)
        self._password = wire.mqtt_password(identity.key)
        self._packet_id = 0
        self._in_flight = None  # (packet id, payload) of a journal PUBLISH without PUBACK
        self._clean = False  # ask the broker for a new session
        self._new_line = asyncio.Event()
        self._receipt = asyncio.Event()
        self.online = False
        self.refused = 0  # signed texts from outside that did not verify

    def joined(self):
        """True while there is a network."""
        return self._wifi.joined()

    def rssi(self):
        """Wi-Fi signal in dBm, 0 without."""
        return self._wifi.rssi()

    def line_written(self):
        """There is something to send."""
        self._new_line.set()

    async def run(self, alive):
        """Connect, serve, wait, again. `alive()` is called whenever a step came to its end."""
        failures = 0
        while True:
            alive()
            bad = False
            try:
                await self._wifi.join()
                await self._serve(alive)
            except OSError as error:
                log("link", error)
                bad = isinstance(error, BadPacket)
            self._clean = bad  # or the session would bring the same message again
            failures = 0 if self.online and not bad else failures + 1
            self.online = False
            await self._wait(failures, alive)

    async def _wait(self, failures, alive):
        window_ms = self._settings.reconnect_ms << min(failures, 8)
        window_ms = min(window_ms, self._settings.reconnect_max_ms)
        wait_ms = _random_below(window_ms)
        log("link", "again in", wait_ms, "ms")
        while wait_ms > 0:
            alive()
            await asyncio.sleep_ms(min(wait_ms, 5000))
            wait_ms -= 5000

    async def _serve(self, alive):
        """One connection from beginning to end; always ends with an OSError."""
        identity = self._identity
        client = Client(self._clock.uptime_ms)
        tasks = []
        try:
            await client.connect(
                identity.broker_host,
                identity.broker_port,
                identity.bin_id,
                self._password,
                self._topic("online"),
                clean=self._clean,
            )
            log("link", "connected, session", client.session_present)
            self.online = True
            await client.publish(self._topic("online"), b"1", self._next_id(), retain=True)
            await client.subscribe(
                self._next_id(), ((self._topic("receipt"), 1), (self._topic("outcome"), 0))
            )
            await self._again(client)
            for work in (self._send_lines, self._send_health):
                tasks.append(asyncio.create_task(_close_on_error(work(client), client)))
            while True:
                alive()
                self._take(await client.receive())
        finally:
            for task in tasks:
                task.cancel()
            await client.close()

    async def _again(self, client):
        """What MQTT asks for when the session lives on: the same packet id, marked as duplicate."""
        if self._in_flight and client.session_present:
            packet_id, payload = self._in_flight
            await client.publish(self._topic("journal"), payload, packet_id, dup=True)
        else:
            self._in_flight = None

    # -- up -------------------------------------------------------------------------------------

    async def _send_lines(self, client):
        flash = self._flash
        tries = 0
        while True:
            if not flash.index.backlog:
                self._new_line.clear()
                await self._new_line.wait()
            last, payload = flash.batch()
            if not payload:
                await asyncio.sleep_ms(100)  # a damaged segment was mended: look again
                continue
            self._receipt.clear()
            self._in_flight = (self._next_id(), payload)
            await client.publish(self._topic("journal"), payload, self._in_flight[0])
            try:
                while flash.index.receipted < last:
                    await asyncio.wait_for_ms(self._receipt.wait(), self._patience_ms(tries))
                    self._receipt.clear()
                    tries = 0
            except asyncio.TimeoutError:
                tries += 1
                log("link", "no receipt for", last, "- sending again")

    def _patience_ms(self, tries):
        """How long to wait for a receipt: doubles with jitter, so that a nation's bins do not fill
        the broker while the gateway is away.
        """
        most_ms = min(self._settings.receipt_ms << min(tries, 8), self._settings.reconnect_max_ms)
        return most_ms // 2 + _random_below(most_ms // 2 + 1)

    async def _send_health(self, client):
        while True:
            body = wire.to_json(self._describe()).encode()
            text = wire.sign(self._identity.key, self._identity.bin_id, "health", body)
            await client.publish(self._topic("health"), text)
            await asyncio.sleep_ms(self._settings.health_ms)

    # -- down -----------------------------------------------------------------------------------

    def _take(self, packet):
        if packet[0] == mqtt.PUBACK:
            if self._in_flight and self._in_flight[0] == packet[1]:
                self._in_flight = None
        elif packet[0] == mqtt.SUBACK:
            if max(packet[2]) > 1:
                raise LinkDown("the broker refused a subscription")
        elif packet[0] == mqtt.PUBLISH:
            leaf = packet[1][packet[1].rfind("/") + 1 :]
            if leaf in ("receipt", "outcome"):
                self._take_signed(leaf, packet[2])

    def _take_signed(self, leaf, payload):
        identity = self._identity
        try:
            value = wire.read(identity.key, identity.bin_id, leaf, payload)
        except wire.WireError as error:
            self.refused += 1
            log("link", leaf, "refused:", error)
            return
        epoch, n = value.get("e"), value.get("n")
        if not isinstance(epoch, str) or not isinstance(n, int) or isinstance(n, bool):
            self.refused += 1
            log("link", leaf, "refused: fields")
        elif leaf == "receipt":
            if self._flash.receipt(epoch, n):
                self._receipt.set()
        elif epoch == self._flash.index.epoch:
            points, balance = value.get("points"), value.get("balance")
            if isinstance(points, int) and isinstance(balance, int):
                self._on_outcome(n, value.get("status"), points, balance)

    def _topic(self, leaf):
        return wire.topic(self._identity.bin_id, leaf)

    def _next_id(self):
        self._packet_id = self._packet_id % 65535 + 1
        return self._packet_id


async def _close_on_error(work, client):
    """Run a sender; when the link fails under it, end the connection so that `receive` ends."""
    try:
        await work
    except Exception as error:  # noqa: BLE001  (a sender that is gone must not leave a link up)
        log("link", repr(error))
        gc.collect()
        await client.close()


def _random_below(limit):
    return random.getrandbits(30) % limit if limit > 0 else 0
