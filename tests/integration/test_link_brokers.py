"""The bin's link with each of the three brokers of the field: the real firmware, in real time.

The gateway is the real one. What the bin does when it is cut off at any byte: test_link_cuts.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.brokers import leave
from tests.support.chaos import (
    CLOSE,
    DOWN,
    NONE,
    PUBACK,
    PUBLISH,
    RESET,
    UP,
    Fault,
    Packet,
    Passage,
    chaos,
)
from tests.support.country import BIN_SETTINGS, LIMIT_S
from tests.support.field import Field, give_back, said, wait_said, watching
from tests.support.gateway import rows, sign, topic_of, wait_for


def test_a_deposit_arrives_and_its_outcome_comes_back(a_field: Field, tmp_path: Path) -> None:
    made = a_field.fleet.next_bin()
    with a_field.gateway(), a_field.bin(tmp_path, made) as bin_:
        bin_.wait_for_console("connected, session False", LIMIT_S)
        give_back(bin_, "SF1000000001")
        bin_.wait_for_text("Balance", LIMIT_S)
        a_field.wait_lines(made, "boot", "deposit")
        assert rows(a_field.settings(), "select count(*) from quarantine") == [(0,)]


def test_last_will_and_a_session_that_lives_on(a_field: Field, tmp_path: Path) -> None:
    made = a_field.fleet.next_bin()
    with a_field.gateway(), a_field.bin(tmp_path, made) as bin_:
        bin_.wait_for_console("connected, session False", LIMIT_S)
        a_field.wait_lines(made, "boot")
        with watching(a_field, made, "online") as watch:
            wait_for("the retained online", lambda: watch.of("online") == [b"1"], LIMIT_S)
            bin_.power_off()
            wait_for("the last will", lambda: watch.of("online") == [b"1", b"0"], LIMIT_S)
        with watching(a_field, made, "online") as watch:
            wait_for("the retained last will", lambda: watch.of("online") == [b"0"], LIMIT_S)
            bin_.power_on()
            wait_for("online again", lambda: watch.of("online") == [b"0", b"1"], LIMIT_S)
        bin_.wait_for_console("connected, session True", LIMIT_S)
        a_field.wait_lines(made, "boot", "boot")


def test_a_broker_that_is_killed_and_away_for_long(a_field: Field, tmp_path: Path) -> None:
    """Long: until the waits have reached their limit and stay there."""
    made = a_field.fleet.next_bin()
    with a_field.gateway() as gateway, a_field.bin(tmp_path, made) as bin_:
        a_field.wait_lines(made, "boot")
        a_field.broker.kill()
        give_back(bin_, "SF1000000001")
        wait_said(bin_, "again in", 8)
        waits_ms = [int(x.split()[3]) for x in bin_.console_tail(500) if "again in" in x]
        assert max(waits_ms) < BIN_SETTINGS["reconnect_max_ms"]
        assert a_field.lines(made) == [(1, "boot")]
        a_field.broker.start()
        a_field.wait_lines(made, "boot", "deposit")
        wait_for("the gateway's session", gateway.link.ready.is_set, LIMIT_S)
        wait_said(bin_, "connected, session", 2)


def test_a_wrong_password_is_named_and_the_bin_goes_on(a_field: Field, tmp_path: Path) -> None:
    made = a_field.fleet.next_bin()
    with a_field.bin(tmp_path, made, key=bytes(32)) as bin_:
        wait_said(bin_, "link: refused: ", 3)
        assert said(bin_, "user name or password") + said(bin_, "not authorised") >= 3
        give_back(bin_, "SF1000000001")
        tries = said(bin_, "link: refused: ")
        wait_said(bin_, "link: refused: ", tries + 2)
    assert a_field.lines(made) == []


def test_a_bin_whose_old_connection_hangs_takes_its_session_over(
    a_field: Field, tmp_path: Path
) -> None:
    """The broker has not noticed that the bin has gone when the same bin comes again."""
    made = a_field.fleet.next_bin()
    with (
        a_field.gateway(),
        chaos(a_field.broker.port) as proxy,
        a_field.bin(tmp_path, made, proxy.port) as bin_,
    ):
        a_field.wait_lines(made, "boot")
        proxy.freeze()
        bin_.power_off()
        proxy.heal()
        bin_.power_on()
        a_field.wait_lines(made, "boot", "boot")
        give_back(bin_, "SF1000000001")
        a_field.wait_lines(made, "boot", "boot", "deposit")
        bin_.wait_for_console("connected, session True", LIMIT_S)
        assert len(proxy.passages) == 2
        assert not proxy.passages[1].ended.is_set()


def receipts(passage: Passage, payload: bytes) -> int:
    return sum(p.payload == payload for p in passage.seen(DOWN, PUBLISH, "receipt"))


def test_a_receipt_that_waited_for_the_bin_is_delivered_once(
    a_field: Field, tmp_path: Path
) -> None:
    made = a_field.fleet.next_bin()
    with chaos(a_field.broker.port) as proxy, a_field.bin(tmp_path, made, proxy.port) as bin_:
        bin_.wait_for(
            lambda: proxy.passages and proxy.passages[0].seen(UP, PUBLISH, "journal"),
            LIMIT_S,
            "the first line on its way",
        )
        line = proxy.passages[0].seen(UP, PUBLISH, "journal")[0].payload
        epoch = json.loads(line[23:])["e"]
        bin_.power_off()
        receipt = sign(made.bin, made.key, "receipt", b'{"e":"%s","n":1}' % epoch.encode())
        sender = a_field.fleet.client(a_field.broker, "boxback-gateway", f"sender-{made.bin}")
        sender.publish(topic_of(made.bin, "receipt"), receipt, qos=1).wait_for_publish(LIMIT_S)
        bin_.power_on()
        wait_for("a second connection", lambda: len(proxy.passages) == 2, LIMIT_S)
        second = proxy.passages[1]
        wait_for("the receipt", lambda: receipts(second, receipt) == 1, LIMIT_S)
        wait_for("its PUBACK", lambda: second.seen(UP, PUBACK), LIMIT_S)
        proxy.reset()
        wait_for("a third connection", lambda: len(proxy.passages) >= 3, LIMIT_S)
        third = proxy.passages[2]
        wait_for("what is sent now", lambda: fresh(third), LIMIT_S)
        leave(sender)
        assert receipts(second, receipt) == 1
        assert receipts(third, receipt) == 0
        first, *_ = fresh(third)[0].payload.split(b"\n")
        assert json.loads(first[23:])["n"] == 2, "the receipt covered line 1"


def fresh(passage: Passage) -> list[Packet]:
    """Journal packets that are not what MQTT sends again after a reconnect."""
    return [p for p in passage.seen(UP, PUBLISH, "journal") if not p.dup]


CUTS = (
    *(Fault(UP, at_byte=at) for at in (0, 60)),
    *(Fault(DOWN, at_byte=at, end=end) for at in (1, 4, 13, 20, 90) for end in (CLOSE, RESET)),
    *(Fault(DOWN, before=PUBACK, count=count) for count in (1, 2)),
)


def test_the_whole_bin_comes_through_cuts(a_field: Field, tmp_path: Path) -> None:
    made = a_field.fleet.next_bin()
    with (
        a_field.gateway(),
        chaos(a_field.broker.port, plan=lambda n: CUTS[n] if n < len(CUTS) else NONE) as proxy,
        a_field.bin(tmp_path, made, proxy.port) as bin_,
    ):
        give_back(bin_, "SF1000000001")
        bin_.wait_for(lambda: len(proxy.passages) > len(CUTS), 2 * LIMIT_S, "a good connection")
        a_field.wait_lines(made, "boot", "deposit")
        assert rows(a_field.settings(), "select count(*) from quarantine") == [(0,)]
