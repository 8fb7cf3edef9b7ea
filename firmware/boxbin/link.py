"""The way to the gateway: Wi-Fi, MQTT, lines up until they are receipted, orders down.

Sending is go-back-N: one batch from the oldest unreceipted line, a bounded wait for the receipt,
and the same again. A broker's PUBACK counts for nothing. Reconnects wait a random time whose window
doubles up to a limit (core/backoff.py). Longer than most files: one connection, up and down.
"""

import asyncio
import gc
import random

from boxbin import secure
from boxbin.core import backoff, mqtt, wire
from boxbin.identity import IdentityError
from boxbin.log import log
from boxbin.mqttclient import BadPacket, Client, LinkDown, Refused
from boxbin.resolver import resolve
from boxbin.wifi import Wifi

QUIET_MS = 120_000  # a TLS handshake stops the chip for a second: it waits so long for people
_STEP_MS = 1_000
_SLEEP_MS = 5_000
_TELL_MS = 5_000  # from one health message to the next at least, however often faults change
_DOWN_BYTES_MAX = 2_048  # a signed text from the gateway


class Link:
    """Runs for ever in `run`. `flash` is None in the safe state: then no lines are sent.

    `on_outcome(n, status, points, balance)` is called for each outcome of this journal,
    `describe(brief)` gives the health message as pairs, `quiet("")` is True when nobody is there.
    """

    def __init__(self, identity, settings, clock, flash, orders, on_outcome, describe, quiet):
        self._identity = identity
        self._settings = settings
        self._clock = clock
        self._flash = flash
        self._orders = orders
        self._on_outcome = on_outcome
        self._describe = describe
        self._quiet = quiet
        self.wifi = Wifi(identity.wifi_ssid, identity.wifi_key)
        self._password = wire.mqtt_password(identity.key)
        self._tls = None
        self._packet_id = 0
        self._in_flight = (0, 0)  # packet id and last n of a journal PUBLISH without PUBACK
        self._clean = False  # ask the broker for a new session
        self._new_line = asyncio.Event()
        self._receipt = asyncio.Event()
        self._news = asyncio.Event()
        self._step = "start"  # what is being tried, for `why`
        self._lost_ms = clock.uptime_ms()
        self.online = False
        self.offline_ms = 0  # how long the link was away last, and why
        self.why = "start"
        self.refused = 0  # signed texts from outside that did not verify

    def line_written(self):
        """There is something to send."""
        self._new_line.set()

    def tell(self):
        """A fault began or ended: the gateway hears of it before the next health is due."""
        self._news.set()

    async def run(self, alive):
        """Connect, serve, wait, again. `alive()` is called whenever a step came to its end."""
        failures = 0
        while True:
            alive()
            bad = False
            try:
                self._step = "wifi"
                await self.wifi.join()
                await self._serve(alive)
            except (OSError, MemoryError) as error:  # neither is worth a restart
                log("link", error)
                bad = isinstance(error, BadPacket)
                if isinstance(error, Refused):
                    self._step = "refused"
            if self.online or self.why in ("start", "session"):
                self.why = self._step  # a session that ends says little: what fails next says why
            if self.online:
                self._lost_ms = self._clock.uptime_ms()
            gc.collect()
            # A new session, or the old one would bring the same message again; also after a try
            # that did not come as far as the broker.
            self._clean = bad or (self._clean and not self.online)
            if self.online and not bad:
                failures = 0
            self.online = False
            await self._wait(failures, alive)
            failures += 1

    async def _wait(self, failures, alive):
        s = self._settings
        bits = random.getrandbits(backoff.RANDOM_BITS)
        wait_ms = backoff.wait_ms(failures, s.reconnect_ms, s.reconnect_max_ms, bits)
        log("link", "again in", wait_ms, "ms")
        await _sleep(wait_ms, alive)

    async def _connect(self, client, alive):
        identity = self._identity
        host = self._settings.broker_host or identity.broker_host
        port = self._settings.broker_port or identity.broker_port
        name = None
        if identity.tls:
            name = identity.tls_name if host == identity.broker_host else ""
            for _ in range(QUIET_MS // _STEP_MS):
                if self._quiet(""):
                    break
                await _sleep(_STEP_MS, alive)
            if self._clock.quality == "none":
                log("link", "the time is not known: certificates may be refused for that")
            gc.collect()  # or memory runs out after some eight handshakes (micropython #13521)
            if self._tls is None:
                try:
                    self._tls = secure.context()
                except (ValueError, OSError, IdentityError) as error:
                    raise Refused("certificates in NVS: %r" % error)
        self._step = "name"
        address = await resolve(host, self.wifi.dns())
        alive()
        self._step = "connect"
        await client.connect(
            address,
            port,
            identity.bin_id,
            self._password,
            self._topic("online"),
            self._clean,
            self._tls,
            name or host,
        )

    async def _serve(self, alive):
        """One connection from beginning to end; always ends with an OSError."""
        client = Client(self._clock.uptime_ms)
        tasks = []
        try:
            await self._connect(client, alive)
            log("link", "connected, session", client.session_present)
            self._step = "session"
            self.offline_ms = self._clock.uptime_ms() - self._lost_ms
            self.online = True
            await client.publish(self._topic("online"), b"1", self._next_id(), retain=True)
            topics = [(self._topic(leaf), 1) for leaf in ("receipt", "command", "settings")]
            await client.subscribe(self._next_id(), topics + [(self._topic("outcome"), 0)])
            self._orders.connected()
            works = [self._receive(client, alive), self._send_health(client)]
            works.append(self._send_answers(client))
            if self._flash:
                works.append(self._send_lines(client))
            ended = _Ended()
            for work in works:
                tasks.append(asyncio.create_task(ended.watch(work)))
            await ended.wait()
        finally:
            for task in tasks:
                task.cancel()
            await client.close()

    async def _receive(self, client, alive):
        while True:
            alive()
            self._take(await client.receive())

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
            # MQTT wants a message that was not acknowledged again under its number when the session
            # lives on; without a receipt the batch is the same.
            again = tries == 0 and client.session_present and self._in_flight[1] == last
            packet_id = self._in_flight[0] if again else self._next_id()
            self._in_flight = (packet_id, last)
            await client.publish(self._topic("journal"), payload, packet_id, dup=again)
            payload = None  # a good piece of the heap, for as long as the receipt takes
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
        s = self._settings
        most_ms = backoff.window_ms(tries, s.receipt_ms, s.reconnect_max_ms)
        return most_ms // 2 + random.getrandbits(30) % (most_ms // 2 + 1)

    async def _send_health(self, client):
        while True:
            self._news.clear()
            try:
                text = self._health(False)
            except MemoryError:  # to tell so is better than to lose the link
                gc.collect()
                text = self._health(True)
            await client.publish(self._topic("health"), text)
            text = None
            least_ms = min(_TELL_MS, self._settings.health_ms)
            await asyncio.sleep_ms(least_ms)
            try:
                left_ms = self._settings.health_ms - least_ms
                await asyncio.wait_for_ms(self._news.wait(), left_ms)
            except asyncio.TimeoutError:
                pass

    def _health(self, brief):
        body = wire.to_json(self._describe(brief)).encode()
        return wire.sign(self._identity.key, self._identity.bin_id, "health", body)

    async def _send_answers(self, client):
        while True:
            packet_id = self._next_id()
            text = self._orders.next_answer(packet_id)
            if text is None:
                self._orders.wake.clear()
                await self._orders.wake.wait()
            else:
                await client.publish(self._topic("done"), text, packet_id)

    # -- down -----------------------------------------------------------------------------------

    def _take(self, packet):
        if packet[0] == mqtt.PUBACK:
            if self._in_flight[0] == packet[1]:
                self._in_flight = (0, 0)
            self._orders.acknowledged(packet[1])
        elif packet[0] == mqtt.SUBACK:
            if max(packet[2]) > 1:
                raise LinkDown("the broker refused a subscription")
        elif packet[0] == mqtt.PUBLISH:
            leaf = packet[1][packet[1].rfind("/") + 1 :]
            if leaf == "settings" and not packet[2]:
                return  # a retained document that was taken away
            if leaf in ("receipt", "outcome", "command", "settings"):
                self._take_signed(leaf, packet[2])

    def _take_signed(self, leaf, payload):
        identity = self._identity
        try:
            if len(payload) > _DOWN_BYTES_MAX:
                raise wire.WireError("long")
            value = wire.read(identity.key, identity.bin_id, leaf, payload)
        except (wire.WireError, MemoryError) as error:  # retained, it would come again for ever
            self.refused += 1
            log("link", leaf, "refused:", repr(error))
            return
        if leaf == "command":
            self._orders.take_command(value)
        elif leaf == "settings":
            self._orders.take_settings(value)
        elif self._flash:
            self._take_word(leaf, value)

    def _take_word(self, leaf, value):
        """A receipt or an outcome."""
        epoch, n = value.get("e"), value.get("n")
        if not isinstance(epoch, str) or not isinstance(n, int) or isinstance(n, bool):
            self.refused += 1
            log("link", leaf, "refused: fields")
        elif leaf == "receipt":
            if self._flash.receipt(epoch, n):
                self._receipt.set()
                self._orders.receipted(n)
        elif epoch == self._flash.index.epoch:
            points, balance = value.get("points"), value.get("balance")
            if isinstance(points, int) and isinstance(balance, int):
                self._on_outcome(n, value.get("status"), points, balance)

    def _topic(self, leaf):
        return wire.topic(self._identity.bin_id, leaf)

    def _next_id(self):
        self._packet_id = self._packet_id % 65535 + 1
        return self._packet_id


async def _sleep(wait_ms, alive):
    while wait_ms > 0:
        alive()
        await asyncio.sleep_ms(min(wait_ms, _SLEEP_MS))
        wait_ms -= _SLEEP_MS


class _Ended:
    """The first of several tasks that fails ends them all: none may stay with a link that is gone,
    and none may close it under another that waits for it.
    """

    def __init__(self):
        self._event = asyncio.Event()
        self._error = None

    async def watch(self, work):
        try:
            await work
        except Exception as error:  # noqa: BLE001  (told in `wait`)
            self._error = self._error or error
            self._event.set()

    async def wait(self):
        """Wait for the first failure and raise it: an OSError, or LinkDown that names it."""
        await self._event.wait()
        if isinstance(self._error, (OSError, MemoryError)):
            raise self._error
        raise LinkDown(repr(self._error))
