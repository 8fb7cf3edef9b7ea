"""The files of `boxback try`: private, whole or not there, and told about when they are not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.gateway import free_port
from tools.country import Country, CountryError, choose_ports
from tools.virtual.page.server import EnrolError


def any_ports() -> dict[str, int]:
    return choose_ports({"page": 0, "points": 0, "broker": 0})


def test_it_starts_again_with_the_same_bin_and_member_on_other_ports(tmp_path: Path) -> None:
    folder = tmp_path / "country"
    with Country(folder, any_ports()) as first:
        bin_id = first.bin.identity.bin
        assert "#enrol=" in first.enrol()
    member = (folder / "member.txt").read_text()
    ports = any_ports()
    with Country(folder, ports) as second:
        assert second.bin.identity.bin == bin_id
        assert second.bin.identity.broker_port == ports["broker"]
        second.enrol()
        second.bin.wait_for_text("show your pass", 30)
    assert (folder / "member.txt").read_text() == member


def test_keys_are_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "country"
    with Country(folder, any_ports()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for name in ("bin.json", "boxback.toml", "bin/nvs.json", "points/keys.toml"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name


def test_a_bin_file_that_was_cut_off_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bin.json").write_text("")
    with pytest.raises(CountryError, match=r"delete .*bin\.json"):
        Country(tmp_path, any_ports()).__enter__()


def test_a_folder_that_cannot_be_one_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CountryError, match="choose another --data-dir"):
            Country(folder, any_ports()).__enter__()


def test_no_phone_while_points_is_away(tmp_path: Path) -> None:
    country = Country(tmp_path, {"page": 1, "broker": 2, "points": free_port()})
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "keys.toml").write_text('operator_key = "something long enough"')
    with pytest.raises(EnrolError, match="points backend"):
        country.enrol()
