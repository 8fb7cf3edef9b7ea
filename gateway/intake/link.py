"""The gateway's connection to the broker: a durable session, manual acknowledgement, patience.

What a broker is asked for is plain MQTT 3.1.1: a fixed client id with clean session off, QoS 1,
and nothing else. The session is subscribed again at every connect, because some brokers keep the
session and lose the subscription (facts/mqtt.md).
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from gateway import tls, wire
from gateway.backoff import Backoff
from gateway.intake.judge import LEAVES, Message
from gateway.log import fields

if TYPE_CHECKING:
    from gateway.config import Settings

log = logging.getLogger("gateway.intake.link")

CONNECT_TIMEOUT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 3.0
RECONNECT_FIRST_S: Final = 0.5
OUT_INFLIGHT_MAX: Final = 1000
"""Receipts under way to the broker."""
OUT_QUEUE_MAX: Final = 10_000
"""Receipts that wait for the broker; one more is dropped, for the bin asks again."""
_FULL_POLL_S: Final = 0.2


class Link:
    """One MQTT client in a thread of its own, which puts what comes into a bounded queue."""

    def __init__(
        self, settings: Settings, password: str | None, inbox: queue.Queue[Message]
    ) -> None:
        """`password` None connects without user and password. Raises ConfigError for TLS files."""
        self._host, self._port = settings.broker.host, settings.broker.port
        self._keep_alive_s = settings.gateway.keep_alive_s
        self._inbox = inbox
        self._stopping = threading.Event()
        self._backoff = Backoff(RECONNECT_FIRST_S, settings.gateway.reconnect_max_s)
        self._session = 0
        self._greeted = False
        self.ready = threading.Event()
        """Set while the subscription stands."""
        self.dropped = 0
        """QoS 0 messages let go because the inbox was full, and receipts beyond OUT_QUEUE_MAX."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.gateway.client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(OUT_INFLIGHT_MAX)
        client.max_queued_messages_set(OUT_QUEUE_MAX)
        self._who = {"broker": f"{self._host}:{self._port}"}
        """For the log, when the broker will not have us."""
        if password is not None:
            self._who["user"] = settings.gateway.user
            client.username_pw_set(settings.gateway.user, password)
        secure = tls.context_of(settings.broker)
        self._check = "check user and password, and whether it wants TLS: broker.tls_ca"
        if secure is not None:
            client.tls_set_context(secure)
            self._check = "check user and password, and broker.tls_cert if it wants a certificate"
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client
        self._thread_name = f"paho-mqtt-client-{settings.gateway.client_id}"

    def start(self) -> None:
        """Begin to connect, in the background and for as long as it takes."""
        self._next_wait()
        self._client.connect_async(self._host, self._port, self._keep_alive_s)
        self._client.loop_start()

    def stop(self) -> bool:
        """Say good-bye and end the thread; False when a stuck connection kept it from ending.

        The broker keeps the session and what is not acknowledged.
        """
        self._stopping.set()
        self.ready.clear()
        self._client.disconnect()
        # loop_stop waits without a limit; a broker that reads nothing must not hold us.
        ender = threading.Thread(target=self._client.loop_stop, daemon=True)
        ender.start()
        ender.join(STOP_TIMEOUT_S)
        return not ender.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the network thread runs; once started it must until `stop`."""
        return any(thread.name == self._thread_name for thread in threading.enumerate())

    def publish(
        self, bin_id: str, leaf: str, payload: bytes, qos: int, *, retain: bool = False
    ) -> bool:
        """Send to one bin; False when it was let go (QoS 0 without a connection, queue full)."""
        topic = wire.topic(bin_id, leaf)
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            self.dropped += 1
        return info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def ack(self, message: Message) -> None:
        """Acknowledge a message to the broker, if this is still the connection that brought it.

        In another connection its packet id may mean another message. (A reconnect in between the
        two lines below can still ack the wrong one: harmless, a PUBACK is no receipt.)
        """
        if message.qos > 0 and message.session == self._session:
            self._client.ack(message.mid, message.qos)

    def _next_wait(self) -> None:
        wait_s = self._backoff.next_s()
        # paho doubles a delay between two bounds; two equal bounds make it take ours.
        self._client.reconnect_delay_set(wait_s, wait_s)  # type: ignore[arg-type]

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.error(
                "broker refused us",
                extra=fields(**self._who, reason=reason, do=self._check),
            )
            return
        self._session += 1
        self._greeted = True
        client.subscribe([(f"{wire.VERSION}/+/+/{leaf}", 1) for leaf in LEAVES])

    def _on_subscribe(
        self, client: mqtt.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error(
                "broker refused the subscription",
                extra=fields(**self._who, do="give us topic rights"),
            )
            client.disconnect()
            return
        self._backoff.reset()
        self.ready.set()
        log.info("connected", extra=fields(broker=f"{self._host}:{self._port}"))

    def _on_connect_fail(self, _client: mqtt.Client, _data: Any) -> None:
        self._next_wait()
        # paho calls this while it handles the error, and says nothing of it
        reason, do = tls.told(sys.exc_info()[1])
        more = {"do": do} if do else {}
        where = f"{self._host}:{self._port}"
        log.log(
            logging.ERROR if do else logging.WARNING,
            "no broker",
            extra=fields(broker=where, reason=reason or "no answer", **more),
        )

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        greeted, self._greeted = self._greeted, False
        self.ready.clear()
        self._next_wait()
        if self._stopping.is_set():
            log.info("disconnected")
        elif greeted:
            log.warning("connection lost", extra=fields(reason=reason))
        else:
            # rumqttd says nothing to a wrong password, it hangs up.
            log.error(
                "broker hung up",
                extra=fields(**self._who, reason=reason, do=self._check),
            )

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        found = Message(
            topic, bytes(message.payload), message.qos, message.mid, message.retain, self._session
        )
        while not self._stopping.is_set():
            try:
                self._inbox.put(found, timeout=0 if message.qos == 0 else _FULL_POLL_S)
            except queue.Full:
                if message.qos == 0:
                    self.dropped += 1
                    return
            else:
                return
