"""`boxback run`: broker, gateway and the real points backend on one machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import config
from gateway.config import ConfigError
from gateway.fleet.register import Provisioning
from gateway.run import Gateway
from gateway.site import Site
from tests.support.gateway import (
    LIMIT_S,
    Mosquitto,
    SimBin,
    free_port,
    issue_bin,
    port_listens,
    rows,
    running_broker,
    running_gateway,
    settings_for,
    wait_for,
)

ROOT = Path(__file__).parents[3]
RUN = """
import typer
from gateway.cli import add_run
app = typer.Typer()
app.callback()(lambda: None)
add_run(app, {})
app()
"""


class Running:
    """`boxback run` as a process, its output in a file."""

    def __init__(self, folder: Path, broker: str = "") -> None:
        self.ports = {"broker": free_port(), "points": free_port()}
        self.file = folder / "boxback.toml"
        self.file.write_text(
            f'data_dir = "{folder / "data"}"\n'
            f"[broker]\nport = {self.ports['broker']}\n{broker}"
            f"[points]\nport = {self.ports['points']}\n"
            f'[relay]\nurl = "http://127.0.0.1:{self.ports["points"]}"\n'
        )
        self.settings = config.load(self.file)
        self.made: Provisioning = issue_bin(self.settings)
        self.output = folder / "out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, "run", "--config", str(self.file)],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def await_start(self) -> None:
        wait_for(
            f"the addresses in {self.output}",
            lambda: self.process.poll() is not None or "Ctrl-C ends it" in self.text(),
        )
        assert self.process.poll() is None, self.text()

    def text(self) -> str:
        return self.output.read_text()

    def pid_of(self, child: str) -> int:
        found = re.search(rf"started child={child} pid=(\d+)", self.text())
        assert found is not None, self.text()
        return int(found[1])

    def await_silence(self) -> None:
        for port in self.ports.values():
            wait_for("the ports to be free", lambda port=port: not port_listens(port))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    try:
        running.await_start()
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait(LIMIT_S)


def test_a_deposit_goes_all_the_way_and_back(site: Running) -> None:
    with SimBin(site.ports["broker"], site.made.bin, site.made.key) as box:
        box.write("boot", {"fw": "0.1.0", "cause": "power"})
        n = box.deposit(pass_="BB1.0A1B2C3D.55605119.AEBAGBAFAYDQQCJK")  # nobody's pass
        box.deliver()
        outcome = box.wait_outcome(n)
        assert outcome["status"] == "refused"
        assert outcome["why"] == "pass_unknown"
    site.process.send_signal(signal.SIGTERM)
    site.process.wait(LIMIT_S)
    assert site.process.returncode == 0, site.text()
    site.await_silence()
    assert rows(site.settings, "SELECT count(*) FROM outcomes") == [(1,)]


def test_nothing_outlives_it_when_it_is_killed(site: Running) -> None:
    site.process.kill()
    site.process.wait(LIMIT_S)
    site.await_silence()


@pytest.mark.parametrize("child", ["gateway", "points", "broker"])
def test_when_a_part_dies_the_others_are_stopped_and_it_says_so(site: Running, child: str) -> None:
    os.kill(site.pid_of(child), signal.SIGKILL)
    site.process.wait(LIMIT_S)
    assert site.process.returncode == 1
    last = site.text().strip().splitlines()[-1]
    assert last.startswith("boxback: ")
    assert f"{child} was ended by SIGKILL" in last
    site.await_silence()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_start_that_waits_for_something(tmp_path: Path, how: signal.Signals) -> None:
    running = Running(tmp_path, "embedded = false\n")  # and there is none: never ready
    try:
        wait_for("the gateway to look for a broker", lambda: "no broker" in running.text())
        running.process.send_signal(how)
        running.process.wait(LIMIT_S)
        assert running.process.returncode == 0, running.text()
        assert "Ctrl-C ends it" not in running.text()
        assert "Traceback" not in running.text()
        running.await_silence()
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait(LIMIT_S)


def test_ctrl_c_ends_the_start_of_a_country(tmp_path: Path) -> None:
    ports = [text for name in ("page", "points", "broker") for text in (f"--{name}-port", "0")]
    output = tmp_path / "out"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.cli", "try", "--data-dir", str(tmp_path / "c"), *ports],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for("the first step", lambda: "broker, gateway and points" in output.read_text())
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_S)
        assert process.returncode == 0, output.read_text()
        assert "is running" not in output.read_text()
        assert "Traceback" not in output.read_text()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(LIMIT_S)


def test_ports_that_do_not_agree_are_told(tmp_path: Path) -> None:
    settings = config.settings_from({"data_dir": str(tmp_path), "points": {"port": 9999}}, "x")
    with (
        pytest.raises(ConfigError, match=r"set url to http://127\.0\.0\.1:9999"),
        Site(settings, None),
    ):
        pass


def test_print_config_is_a_file_that_can_be_used(tmp_path: Path) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", RUN, "run", "--print-config"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
        timeout=LIMIT_S,
    ).stdout
    path = tmp_path / "boxback.toml"
    path.write_text(printed)
    assert config.load(path) == config.Settings()


def test_two_gateways_do_not_work_on_one_folder(tmp_path: Path) -> None:
    with running_broker("mosquitto", tmp_path) as broker:
        settings = settings_for(tmp_path, broker.port)
        with running_gateway(settings), pytest.raises(ConfigError, match="another gateway"):
            Gateway(settings)
        with running_gateway(settings):
            pass


def test_a_broker_that_hangs_does_not_keep_the_gateway_from_ending(tmp_path: Path) -> None:
    with running_broker("mosquitto", tmp_path) as broker:
        assert isinstance(broker, Mosquitto)
        process = broker._process
        assert process is not None
        with running_gateway(settings_for(tmp_path, broker.port)):
            process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)


def test_a_wrong_setting_ends_with_2_and_says_which(tmp_path: Path) -> None:
    path = tmp_path / "boxback.toml"
    path.write_text("[gateway]\nbatch_lines = 0\n")
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "-c", str(path)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=LIMIT_S,
    )
    assert ended.returncode == 2
    assert "gateway.batch_lines = 0" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert json.dumps(ended.stdout) == '""'
