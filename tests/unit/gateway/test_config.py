"""Settings: every value has a default, every mistake is told with what is allowed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway import config
from gateway.config_text import schema_toml


def test_defaults_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = config.load()
    assert settings == config.Settings()
    assert settings.database_path == Path(".boxback/gateway/gateway.db")
    assert settings.relay_key_path == Path(".boxback/points/keys.toml")


def test_the_file_in_the_working_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("boxback.toml").write_text("[broker]\nport = 2000\n[points]\nanything = [1]\n")
    settings = config.load()
    assert settings.broker.port == 2000
    assert settings.points == {"anything": [1]}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"broker": {"port": 0}}, "broker.port = 0: should be greater than or equal to 1"),
        ({"broker": {"port": "x"}}, "broker.port = 'x': should be a valid integer"),
        ({"broker": {"prot": 1}}, "broker.prot: there is no such setting; [broker] has:"),
        ({"brokr": {}}, "brokr: there is no such setting; the top of the file has: broker,"),
        ({"broker": 3}, "broker = 3: should be"),
        ({"broker": {"host": "10.0.0.1"}}, "host = '10.0.0.1': the embedded broker"),
        ({"broker": {"tls_ca": "ca.pem"}}, "tls_ca: the embedded broker has no TLS"),
        ({"broker": {"tls_cert": "c.pem"}}, "tls_cert and tls_key belong together"),
        ({"broker": {"embedded": False, "tls_name": "x"}}, "tls_name need tls_ca"),
        ({"relay": {"url": "ftp://x"}}, "relay.url = 'ftp://x': URL scheme should be 'http'"),
        ({"relay": {"url": "http://x/?a=1"}}, "relay.url = 'http://x/?a=1': must be an address"),
        ({"relay": {"batch_items": 501}}, "relay.batch_items = 501: should be less than"),
        ({"gateway": {"log_level": "loud"}}, "gateway.log_level = 'loud': should be 'debug'"),
        ({"gateway": {"client_id": "a b"}}, "gateway.client_id = 'a b': String should match"),
    ],
)
def test_a_mistake_names_file_key_value_and_what_is_allowed(
    document: dict[str, Any], told: str
) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.settings_from(document, "/etc/boxback.toml")
    assert str(caught.value).startswith("/etc/boxback.toml: these settings are wrong:\n  ")
    assert told in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.settings_from({"broker": {"port": 0}, "relay": {"poll_ms": 0}}, "x")
    assert str(caught.value).count("\n") == 2


def test_another_broker_may_be_anywhere() -> None:
    settings = config.settings_from({"broker": {"embedded": False, "host": "mqtt.example"}}, "x")
    assert settings.broker.host == "mqtt.example"


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"[broker", "is not TOML"), (b"\xff", "is not UTF-8"), (b"#" * (1 << 21), "is larger than")],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "boxback.toml"
    path.write_bytes(content)
    with pytest.raises(config.ConfigError, match=told):
        config.load(path)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"no\.toml: cannot be read: No such file"):
        config.load(tmp_path / "no.toml")


def uncommented(text: str) -> dict[str, Any]:
    return tomllib.loads(re.sub(r"^#(\w+ = .*)$", r"\1", text, flags=re.MULTILINE))


def test_the_schema_as_text_is_a_file_that_means_the_defaults() -> None:
    text = schema_toml()
    assert config.settings_from(tomllib.loads(text), "x") == config.Settings()
    document = uncommented(text)
    for section in ("broker", "gateway", "relay"):  # paths without a default are shown empty
        document[section] = {k: v for k, v in document[section].items() if v != ""}
    assert config.settings_from(document, "x") == config.Settings()


def test_the_schema_shows_the_values_in_force() -> None:
    settings = config.settings_from({"relay": {"url": "http://10.1.2.3:99/"}}, "x")
    assert uncommented(schema_toml(settings))["relay"]["url"] == "http://10.1.2.3:99"


@pytest.mark.parametrize(
    "model", [config.BrokerSettings, config.GatewaySettings, config.RelaySettings]
)
def test_every_setting_is_described_and_numbers_have_limits(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        if field.annotation in (int, float):
            assert any(hasattr(m, "le") for m in field.metadata), name
            if name != "port":
                unit = r"_(s|ms|mb|bytes|items|lines|messages|rows|max)$"
                assert re.search(unit, name), f"{name} has no unit"
