"""Settings and keys: clear errors, and no secret with a default."""

from __future__ import annotations

import stat
import threading
import tomllib
from typing import TYPE_CHECKING

import pytest

from gateway.points.config import ConfigError, PointsSettings, load_settings
from gateway.points.keys import Keys, resolve_keys, same_key

if TYPE_CHECKING:
    from pathlib import Path


def test_every_setting_has_a_default_and_says_what_it_is() -> None:
    PointsSettings()
    for name, field in PointsSettings.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name


def test_table_of_the_common_file(tmp_path: Path) -> None:
    file = tmp_path / "boxback.toml"
    file.write_text('data_dir = "/x"\n[gateway]\nany = 1\n[points]\nport = 9\n')
    settings = load_settings(file, host="::1", database=None)
    assert (settings.port, settings.host, str(settings.data_dir)) == (9, "::1", "/x")
    assert str(settings.database_path) == "/x/points/points.db"
    file.write_text('data_dir = "/x"\n[points]\ndata_dir = "/y"\n')
    assert str(load_settings(file).keys_path) == "/y/points/keys.toml"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[points]\nprot = 1", "prot"),
        ("[points]\nport = 70000", "port"),
        ("[points]\npoints_per_carton = 0", "points_per_carton"),
        ('[points]\ngateway_key = "short"', "gateway_key"),
        ('[points]\nframe_ancestors = ["http://a/b"]', "frame_ancestors"),
        ('[points]\nframe_ancestors = ["*; script-src *"]', "frame_ancestors"),
        ('[points]\npublic_url = "boxback"', "public_url"),
        ("points = 3", "table"),
        ("[points", "TOML"),
    ],
)
def test_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "boxback.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named) as caught:
        load_settings(file)
    assert str(file) in str(caught.value)
    assert "short" not in str(caught.value).replace("shorter", "")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        load_settings(tmp_path / "nothing.toml")


def test_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = PointsSettings(data_dir=tmp_path)
    first = resolve_keys(settings)
    assert stat.S_IMODE(settings.keys_path.stat().st_mode) == 0o600
    assert resolve_keys(settings) == first
    assert len({first.gateway_key, first.operator_key, first.pepper.decode()}) == 3
    assert first != resolve_keys(PointsSettings(data_dir=tmp_path / "other"))
    assert first.gateway_key not in repr(first)
    assert [path.name for path in settings.folder.iterdir()] == ["keys.toml"]


def test_keys_made_by_many_at_once_are_the_same(tmp_path: Path) -> None:
    settings = PointsSettings(data_dir=tmp_path)
    gate, found = threading.Barrier(8), list[Keys]()

    def make() -> None:
        gate.wait()
        found.append(resolve_keys(settings))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert all(keys == found[0] for keys in found)


def test_given_keys_need_no_file(tmp_path: Path) -> None:
    given = {name: name * 3 for name in ("gateway_key", "operator_key", "pepper")}
    settings = PointsSettings.model_validate({"data_dir": tmp_path, **given})
    assert resolve_keys(settings).operator_key == given["operator_key"]
    assert not settings.folder.exists()
    assert given["pepper"] not in repr(settings)


def test_one_given_key_goes_before_the_file(tmp_path: Path) -> None:
    made = resolve_keys(PointsSettings(data_dir=tmp_path))
    given = PointsSettings.model_validate({"data_dir": tmp_path, "gateway_key": "g" * 20})
    assert resolve_keys(given).gateway_key == "g" * 20
    assert resolve_keys(given).pepper == made.pepper


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_open_key_file_is_refused(tmp_path: Path, mode: int) -> None:
    settings = PointsSettings(data_dir=tmp_path)
    resolve_keys(settings)
    settings.keys_path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        resolve_keys(settings)


def test_broken_key_file_is_named(tmp_path: Path) -> None:
    settings = PointsSettings(data_dir=tmp_path)
    resolve_keys(settings)
    table = tomllib.loads(settings.keys_path.read_text())
    settings.keys_path.write_text(f'gateway_key = "{table["gateway_key"]}"\noperator_key = "x"\n')
    with pytest.raises(ConfigError, match="operator_key"):
        resolve_keys(settings)
    settings.keys_path.write_text("?")
    with pytest.raises(ConfigError, match="TOML"):
        resolve_keys(settings)


def test_same_key() -> None:
    assert same_key("schlüssel", "schlüssel")
    assert not same_key("a", "b")
    assert not same_key("", "b")
