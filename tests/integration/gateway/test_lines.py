"""Lines from a bin through a real broker into the database, and the receipts for them."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import wire
from tests.support.gateway import LIMIT_S, SimBin, issue_bin, rows, running_gateway, wait_for

if TYPE_CHECKING:
    from gateway.intake.commit import Committed
    from gateway.intake.judge import Batch
    from tests.integration.gateway.conftest import House

LINES = "SELECT n, raw FROM lines ORDER BY bin, epoch, n"
REASONS = "SELECT reason, payload, times FROM quarantine ORDER BY id"
ROOT = Path(__file__).parents[3]


def test_lines_are_stored_as_they_were_written_and_answered(house: House) -> None:
    with running_gateway(house.settings) as gateway, house.bin() as box:
        box.write("boot", {"fw": "0.1.0", "cause": "power"})
        box.write("sneeze", {"new": "kind – 秤"})
        box.write("fault", {"what": "scale"}, clock="none", t_ms=0)
        box.send(1, 2, 3)
        receipt = box.wait_receipt(3)
        assert receipt.raw[23:] == b'{"e":"5f3a9c01","n":3}'
        assert box.strange == []
        assert rows(gateway, LINES) == [(n + 1, line) for n, line in enumerate(box.journal)]
        assert rows(gateway, REASONS) == []


def test_the_same_lines_twice_are_one_row_and_the_same_receipt(house: House) -> None:
    with running_gateway(house.settings) as gateway, house.bin() as box:
        for _ in range(3):
            box.deposit()
        box.send(1, 2, 3)
        first = box.wait_receipt(3)
        box.send(1, 2, 3)
        second = box.wait_receipt(3, count=2)
        box.send(2)  # an old line alone is answered with all that is durable
        third = box.wait_receipt(3, count=3)
        assert first.raw == second.raw == third.raw
        assert rows(gateway, "SELECT count(*) FROM lines") == [(3,)]
        box.wait_outcome(3)
        assert house.points.asked.total() == 3


def test_a_new_journal_counts_from_one_beside_the_old(house: House) -> None:
    with running_gateway(house.settings) as gateway:
        with house.bin() as box:
            box.write("boot")
            box.write("boot")
            box.deliver()
        with house.bin(epoch="00000001") as box:
            box.write("boot")
            box.deliver()
        assert rows(gateway, "SELECT epoch, n, top FROM progress ORDER BY epoch") == [
            ("00000001", 1, 1),
            ("5f3a9c01", 2, 2),
        ]


def test_a_wrong_mac_between_good_lines_stops_the_receipt_before_the_gap(house: House) -> None:
    with running_gateway(house.settings) as gateway, house.bin() as box:
        for _ in range(4):
            box.deposit()
        wrong = bytes([box.journal[1][0] ^ 1]) + box.journal[1][1:]
        box.publish("journal", box.journal[0] + wrong + b"".join(box.journal[2:]))
        assert box.wait_receipt(1).n == 1
        assert rows(gateway, REASONS) == [("bad_mac", wrong, 1)]
        assert rows(gateway, "SELECT n FROM lines") == [(1,), (3,), (4,)]
        box.wait_outcome(1)
        assert list(house.points.done) == [wire.line_id(box.bin, box.epoch, 1)]

        box.send(2)
        assert box.wait_receipt(2).n == 4
        box.wait_outcome(4)
        assert house.points.order == [wire.line_id(box.bin, box.epoch, n) for n in (1, 2, 3, 4)]
        assert house.points.asked.total() == 4


def test_the_same_identity_with_other_bytes_is_kept_aside(house: House) -> None:
    with running_gateway(house.settings) as gateway, house.bin() as box:
        box.deposit(g=300)
        box.deliver()
        other = box.line(1, "deposit", {"pass": "X", "label": "", "g": 1, "ms": 1, "age": 1})
        box.publish("journal", other)
        wait_for("the quarantine", lambda: rows(gateway, REASONS))
        assert rows(gateway, REASONS) == [("conflict", other, 1)]
        assert rows(gateway, LINES) == [(1, box.journal[0])]


def test_rubbish_is_kept_aside_and_blocks_nothing(house: House) -> None:
    with running_gateway(house.settings) as gateway, house.bin() as box:
        stranger = SimBin(house.broker.port, "B-00000", bytes(32))
        stranger_line = stranger.line(1)
        assert box._client is not None
        for topic, payload in [
            (f"boxback/1/{wire.shard_of('B-00000')}/B-00000/journal", stranger_line),
            ("boxback/1/00/nobody/journal", b"x"),
            (wire.topic(box.bin, "journal"), b"\xff\x00 rubbish\n"),
            (wire.topic(box.bin, "journal"), b"y" * 9000),
            (wire.topic(box.bin, "online"), b"maybe"),
            (wire.topic(box.bin, "health"), b"{}"),
        ]:
            info = box._client.publish(topic, payload, qos=1)
            wait_for(f"the PUBACK for {topic}", info.is_published)
        box.write("boot")
        box.send(1)
        assert box.wait_receipt(1).n == 1
        found = {(reason, len(payload)) for reason, payload, _ in rows(gateway, REASONS)}
        assert found == {
            ("unknown_bin", len(stranger_line)),
            ("bad_topic", 1),
            ("bad_form", len(b"\xff\x00 rubbish\n")),
            ("too_big", 8192),  # cut to what is kept
            ("bad_form", 5),
            ("bad_form", 2),
        }
        assert rows(gateway, "SELECT max(size_bytes) FROM quarantine") == [(9000,)]


def test_lines_of_one_bin_under_another_bins_topic_are_not_let_in(house: House) -> None:
    other = issue_bin(house.settings)
    with running_gateway(house.settings) as gateway, house.bin() as box:
        thief = SimBin(house.broker.port, other.bin, other.key)
        box.publish("journal", thief.line(1))  # right MAC, of the thief's own key
        wait_for("the quarantine", lambda: rows(gateway, REASONS))
        assert rows(gateway, REASONS) == [("bad_mac", thief.line(1), 1)]
        assert rows(gateway, LINES) == []


def test_retained_rubbish_is_kept_once_however_often_it_comes(house: House) -> None:
    with house.bin() as box:
        box.publish("journal", b"old rubbish\n", retain=True)
        for _ in range(2):
            with running_gateway(house.settings):
                box.write("boot")
                box.deliver()
        found = rows(house.settings, "SELECT reason, payload FROM quarantine")
        assert found == [("retained", b"old rubbish\n")]
        assert rows(house.settings, "SELECT count(*) FROM lines") == [(2,)]


def test_a_backlog_of_a_thousand_lines_comes_through_in_order(house: House) -> None:
    with running_gateway(house.settings) as gateway, house.bin() as box:
        for _ in range(1000):
            box.write("fault", {"what": "scale"})
        for first in range(1, 1001, 25):
            box.send(*range(first, first + 25))
        assert box.wait_receipt(1000).n == 1000
        told = [receipt.n for receipt in box.receipts]
        assert told == sorted(told)
        assert rows(gateway, LINES) == [(n + 1, line) for n, line in enumerate(box.journal)]


def test_online_and_health_reach_the_fleet(house: House) -> None:
    state = "SELECT online, health, last_seen_ms > 0 FROM bins"
    with running_gateway(house.settings) as gateway, house.bin() as box:
        box.health(fw="0.1.0", backlog=7)
        expected = [(1, b'{"fw":"0.1.0","backlog":7}', 1)]
        wait_for("health in the fleet", lambda: rows(gateway, state) == expected)
        assert box._client is not None
        box._client._sock_close()  # the cable is pulled: the broker tells the last will
        box._client.loop_stop()
        wait_for("the last will", lambda: rows(gateway, "SELECT online FROM bins") == [(0,)])


def test_the_broker_is_killed_after_its_puback_and_nothing_is_lost(house: House) -> None:
    with house.bin() as box:
        for _ in range(50):
            box.deposit()
        with running_gateway(house.settings):
            pass  # now a session exists at the broker, and nobody listens
        box.send(*range(1, 33))  # the broker has said PUBACK to these
        house.broker.kill()
        house.broker.start()
        with running_gateway(house.settings) as gateway:
            box.deliver()
            assert box.durable == 50
            assert rows(gateway, LINES) == [(n + 1, line) for n, line in enumerate(box.journal)]
            box.wait_outcome(50)
    assert house.points.asked.total() == 50


def test_a_locked_database_holds_everything_and_loses_nothing(house: House) -> None:
    settings = house.settings.model_copy(
        update={"gateway": house.settings.gateway.model_copy(update={"database_wait_ms": 20})}
    )
    with running_gateway(settings) as gateway, house.bin() as box:
        box.write("boot")
        box.deliver()
        locker = sqlite3.connect(settings.database_path, isolation_level=None)
        try:
            locker.execute("BEGIN IMMEDIATE")
            tries: list[int] = []
            commit = gateway.worker.commit

            def counted(batch: Batch) -> Committed:
                tries.append(len(batch.arrived))
                return commit(batch)

            gateway.worker.commit = counted  # type: ignore[method-assign]
            box.deposit()
            box.send(2)
            wait_for("some tries to commit", lambda: len(tries) >= 3)
            box.listen()
            assert box.durable == 1
            locker.execute("ROLLBACK")
        finally:
            locker.close()
        assert box.wait_receipt(2).n == 2
        box.wait_outcome(2)


DYING_GATEWAY = """
import os, signal, sys
from pathlib import Path
from gateway import config, log, run
from gateway.intake.worker import Worker

class Dying(Worker):
    def answer(self, batch, done):
        if batch.arrived:
            os.kill(os.getpid(), signal.SIGKILL)
        super().answer(batch, done)

class DyingGateway(run.Gateway):
    worker_class = Dying

log.set_up("info")
sys.exit(run.serve(DyingGateway(config.load(Path(sys.argv[1])))))
"""


def test_the_gateway_is_killed_after_commit_and_before_receipt(house: House) -> None:
    file = house.folder / "boxback.toml"
    file.write_text(
        f'data_dir = "{house.settings.data_dir}"\n[broker]\nport = {house.broker.port}\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-c", DYING_GATEWAY, str(file)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        with house.bin() as box:
            for _ in range(3):
                box.deposit()

            def ended() -> bool:
                box.send(1, 2, 3)  # until the gateway is up and gets it
                return process.poll() is not None

            wait_for("the gateway's death", ended)
            assert process.returncode == -signal.SIGKILL
            box.listen()
            assert box.receipts == []  # committed, and nobody knows
            assert rows(house.settings, "SELECT n FROM lines") == [(1,), (2,), (3,)]

            with running_gateway(house.settings) as gateway:
                box.deliver()
                box.wait_outcome(3)
                assert rows(gateway, LINES) == [(n + 1, x) for n, x in enumerate(box.journal)]
                assert rows(gateway, "SELECT count(*) FROM outcomes") == [(3,)]
        assert len(house.points.done) == 3
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(LIMIT_S)


def test_serve_ends_cleanly_on_sigterm_and_the_session_waits(house: House) -> None:
    file = house.folder / "boxback.toml"
    file.write_text(
        f'data_dir = "{house.settings.data_dir}"\n[broker]\nport = {house.broker.port}\n'
        f'[relay]\nurl = "{house.points.url}"\nkey_file = "{house.settings.relay.key_file}"\n'
    )
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--config", str(file)],
        cwd=ROOT,
        pass_fds=(writing,),
        env={**os.environ, "BOXBACK_READY_FD": str(writing)},
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as told, house.bin() as box:
            assert told.read() == b"ready\n"
            box.deposit()
            box.send(1)
            box.wait_outcome(1)
            process.terminate()
            _, errors = process.communicate(timeout=LIMIT_S)
            assert process.returncode == 0, errors
            assert f"line={box.bin}.{box.epoch}.1".encode() in errors
            box.deposit()
            box.send(2)  # while nobody listens: the broker keeps it for the session
            with running_gateway(house.settings):
                assert box.wait_receipt(2).n == 2
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=LIMIT_S)
