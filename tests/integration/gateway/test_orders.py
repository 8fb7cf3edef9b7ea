"""Orders from the command line to a bin and back, over real brokers; and a broker behind TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from click.testing import Result
from typer.testing import CliRunner

from gateway.config import ConfigError, Settings, settings_from
from gateway.fleet.cli import app
from gateway.log import LineFormatter
from gateway.run import Gateway
from tests.integration.gateway.conftest import House
from tests.support.gateway import (
    Mosquitto,
    rows,
    running_gateway,
    settings_for,
    wait_for,
)

RUNNER = CliRunner()
REASONS = "SELECT reason FROM quarantine"


def fleet(settings: Settings, *words: str) -> Result:
    """`boxback fleet …` on the store of these settings."""
    config = settings.data_dir.parent / "boxback.toml"
    config.write_text(f'data_dir = "{settings.data_dir}"\n')
    return RUNNER.invoke(app, [*words, "--config", str(config)])


def states(settings: Settings) -> list[str]:
    return [str(row[0]) for row in rows(settings, "SELECT state FROM commands ORDER BY id")]


def versions(settings: Settings) -> list[str]:
    found = rows(settings, "SELECT state FROM wanted_settings ORDER BY version")
    return [str(row[0]) for row in found]


def said(caplog: pytest.LogCaptureFixture) -> str:
    """The log as it is written."""
    return "\n".join(LineFormatter().format(record) for record in caplog.records)


def test_a_command_is_done_and_its_answer_is_shown(house: House) -> None:
    with running_gateway(house.settings), house.bin() as box, box.living():
        done = fleet(house.settings, "do", box.bin, "report", "--by", "li")
        assert done.exit_code == 0, done.output
        assert f"{box.bin}: report done" in done.stdout
        table = [" ".join(line.split()) for line in done.stdout.splitlines()[1:]]
        assert table == [
            *("health", "fw 0.2.0", "faults none", "heap 22144"),
            *("boots", "total 2", "last power, reset"),
        ]
        told = fleet(house.settings, "do", box.bin, "identify", "--seconds", "5", "--json")
        answer = json.loads(told.stdout)
        assert (answer["id"], answer["state"], answer["args"]) == (2, "done", {"s": 5})
        box.refuses = lambda leaf, _: "busy" if leaf == "command" else ""
        refused = fleet(house.settings, "do", box.bin, "open")
        assert refused.exit_code == 1
        assert f"boxback: {box.bin}: open refused: busy" in refused.stderr
    assert [deed["do"] for deed in box.deeds] == ["report", "identify"]
    logged = json.loads(fleet(house.settings, "log", box.bin, "--json").stdout)
    assert [(row["what"], row["outcome"], row["why"]) for row in logged] == [
        ("do", "refused", "busy"),
        ("do", "done", ""),
        ("do", "done", ""),
        ("add", "", ""),
    ]
    assert logged[-2]["who"] == "li"
    shown = fleet(house.settings, "log").stdout
    assert "refused: busy" in " ".join(shown.split())


def test_settings_come_in_force_or_are_refused_with_the_bins_reason(house: House) -> None:
    with running_gateway(house.settings), house.bin() as box, box.living():
        done = fleet(house.settings, "set", box.bin, "mass_min_mg=30000", "label_policy=optional")
        assert done.exit_code == 0, done.output
        assert f"{box.bin}: version 1" in done.stdout
        assert "  mass_min_mg  default → 30000" in done.stdout
        assert f"{box.bin}: in force" in done.stdout
        again = fleet(house.settings, "set", box.bin, "mass_min_mg=30000")
        assert again.exit_code == 0
        assert "nothing to change" in again.stdout
        box.refuses = lambda *_: "mass_min_mg is 3, allowed 5000 to 1000000"
        refused = fleet(house.settings, "set", box.bin, "mass_min_mg=3")
        assert refused.exit_code == 1
        assert "  mass_min_mg  30000 → 3" in refused.stdout
        assert "settings 2 refused: mass_min_mg is 3, allowed 5000" in refused.stderr
    assert box.in_force == (1, {"label_policy": "optional", "mass_min_mg": 30000})


def test_an_order_waits_for_a_gateway_and_for_its_bin(house: House) -> None:
    bin_id = house.made.bin
    early = fleet(house.settings, "do", bin_id, "tare", "--within", "600")
    assert early.exit_code == 3
    assert "no gateway runs on " in early.stderr
    assert "boxback run -c " in early.stderr
    assert "command 1 (tare) waits until " in early.stderr
    assert fleet(house.settings, "set", bin_id, "rise_mg=9000").exit_code == 3
    with running_gateway(house.settings):
        away = fleet(house.settings, "do", bin_id, "report", "--wait-s", "0.5")
        assert away.exit_code == 3
        assert f"{bin_id} was never heard: the command waits" in away.stderr
        assert "no answer yet; command 2" in away.stderr
        with house.bin() as box, box.living():
            wait_for("both", lambda: states(house.settings) == ["done", "done"])
            wait_for("force", lambda: versions(house.settings) == ["in_force"])
            box.publish("online", b"0", retain=True)
            wait_for("the end", lambda: rows(house.settings, "SELECT online FROM bins") == [(0,)])
        gone = fleet(house.settings, "do", bin_id, "tare", "--wait-s", "0")
        assert gone.exit_code == 3
    assert [deed["do"] for deed in box.deeds] == ["tare", "report"]


def test_a_bin_that_lost_its_order_gets_it_again_and_does_it_once(house: House) -> None:
    with running_gateway(house.settings), house.bin() as box, box.living():
        box.deaf = True
        assert fleet(house.settings, "do", box.bin, "tare", "--wait-s", "0").exit_code == 3
        wait_for("the command", lambda: box.orders)
        box.deaf = False
        wait_for("it again", lambda: states(house.settings) == ["done"])
        box.publish("command", b"")  # another leaf's rubbish, which nobody takes
        box.done(id=1, status="done", why="", data={})
        box.done(id=9, status="done", why="", data={})
        wait_for("the quarantine", lambda: rows(house.settings, REASONS) == [("unknown_order",)])
    assert len(box.deeds) == 1


def test_settings_survive_a_broker_that_forgets_and_a_board_that_is_new(house: House) -> None:
    with running_gateway(house.settings) as gateway:
        with house.bin() as box, box.living():
            assert fleet(house.settings, "set", box.bin, "rise_mg=9000").exit_code == 0
        house.broker.kill()
        wait_for("the loss", lambda: not gateway.link.ready.is_set())
        house.broker.start()
        wait_for("the gateway", gateway.link.ready.is_set)
        with house.bin("00000001") as box, box.living():  # a new board: no settings
            box.tell_health(fw="0.2.0", faults=["clock"])
            wait_for("its settings", lambda: box.in_force == (1, {"rise_mg": 9000}))
            box.tell_health(fw="0.2.0", faults=[])
            wait_for("force", lambda: versions(house.settings) == ["in_force"])
    told = [row[0] for row in rows(house.settings, "SELECT detail FROM log WHERE who = ''")]
    assert told[:1] == ["+clock"]


def test_two_gateways_on_one_database_send_an_order_once(house: House, tmp_path: Path) -> None:
    other = settings_for(
        tmp_path,
        house.broker.port,
        house.points.url,
        client_id="boxback-gateway-2",
        database=str(house.settings.database_path),
        password_file=str(house.settings.broker_password_path),
    ).model_copy(update={"data_dir": tmp_path / "data-2"})
    with running_gateway(house.settings), running_gateway(other), house.bin() as box, box.living():
        for n in range(1, 4):
            done = fleet(house.settings, "do", box.bin, "tare")
            assert done.exit_code == 0, done.output
            assert len(box.orders) == n
    assert not rows(house.settings, REASONS)


# --- TLS


class Secure:
    """A mosquitto that wants TLS and a client certificate, and the files of who may come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, other = trustme.CA(), trustme.CA()
        server = self.ca.issue_cert("broker.example", "127.0.0.1")
        self.ca.cert_pem.write_to_path(folder / "ca.pem")
        other.cert_pem.write_to_path(folder / "other-ca.pem")
        server.private_key_pem.write_to_path(folder / "server.key")
        for n, blob in enumerate(server.cert_chain_pems):
            blob.write_to_path(folder / "server.pem", append=n > 0)
        for name, authority in (("gateway", self.ca), ("stranger", other)):
            client = authority.issue_cert(f"{name}@example.org")
            client.private_key_pem.write_to_path(folder / f"{name}.key")
            client.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        self.broker = Mosquitto(
            folder,
            f"cafile {folder}/ca.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
            "require_certificate true\n",
        )

    def settings(self, **broker: str) -> Settings:
        usual = {"tls_ca": "ca.pem", "tls_cert": "gateway.pem", "tls_key": "gateway.key"}
        files = {
            name: str(self.folder / value) if name not in {"tls_name", "host"} else value
            for name, value in (usual | broker).items()
        }
        plain = settings_for(self.folder, self.broker.port).model_dump(mode="json")
        plain["broker"] |= {"embedded": False, **files}
        return settings_from(plain, "the test")


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    made = Secure(tmp_path)
    yield made
    made.broker.stop()


def test_a_broker_behind_tls_with_client_certificates(secure: Secure) -> None:
    for more in (
        {},
        {"tls_name": "broker.example"},
        {"host": "localhost", "tls_name": "127.0.0.1"},
    ):
        with running_gateway(secure.settings(**more)) as gateway:
            assert gateway.link.alive


@pytest.mark.parametrize(
    ("broker", "told"),
    [
        ({"tls_ca": "other-ca.pem"}, 'do="check broker.tls_ca'),
        ({"tls_name": "elsewhere.example"}, "not valid for 'elsewhere.example'"),
        ({"tls_cert": "stranger.pem", "tls_key": "stranger.key"}, "broker hung up"),
    ],
)
def test_a_handshake_that_fails_is_told_in_words(
    secure: Secure, broker: dict[str, str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(secure.settings(**broker))
    gateway.start()
    try:
        wait_for(told, lambda: told in said(caplog))
        assert 'do="check ' in said(caplog)
        assert not gateway.link.ready.is_set()
    finally:
        assert gateway.stop()


def test_a_port_without_tls_is_told(
    tmp_path: Path, secure: Secure, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Mosquitto(tmp_path)
    try:
        settings = secure.settings()
        broker = settings.broker.model_copy(update={"port": plain.port})
        gateway = Gateway(settings.model_copy(update={"broker": broker}))
        gateway.start()
        try:
            wait_for("a word", lambda: 'do="check that broker.port speaks TLS' in said(caplog))
        finally:
            assert gateway.stop()
    finally:
        plain.stop()


@pytest.mark.parametrize(
    ("broker", "told"),
    [
        ({"tls_ca": "none.pem"}, r"broker.tls_ca = .*none.pem': cannot be read: No such file"),
        ({"tls_ca": "gateway.key"}, r"broker.tls_ca = .*: holds no certificate in PEM"),
        ({"tls_key": "stranger.key"}, r"must be a certificate and its own key"),
        ({"tls_cert": "none.pem"}, r"broker.tls_cert = .*: cannot be read"),
    ],
)
def test_files_that_cannot_be_used_are_told_at_the_start(
    secure: Secure, broker: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        Gateway(secure.settings(**broker))
    Gateway(secure.settings()).stop()  # nothing was held
