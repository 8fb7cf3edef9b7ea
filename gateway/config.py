"""The one configuration file, `boxback.toml`: its schema and its loader.

Every value has a default, so the file itself is optional. A name that nobody knows is an error: a
typing slip must not leave a default in force in silence. `[points]` belongs to the points backend,
which has a schema of its own for it (gateway/points/config.py); here it passes by unread.

Longer than other files, for it is one list: every setting stands beside its description.

    ConfigError     the file or a value in it cannot be used; the text says which and what to do
"""

from __future__ import annotations

import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    TypeAdapter,
    ValidationError,
    model_validator,
)

DEFAULT_FILE: Final = Path("boxback.toml")
FILE_MAX_BYTES: Final = 1 << 20
_SHOWN_VALUE_CHARS: Final = 80


class ConfigError(Exception):
    """The settings cannot be used. The text names file, key, value and what is allowed."""


def _http_url(value: str) -> str:
    TypeAdapter(HttpUrl).validate_python(value)
    if not value.isascii() or "?" in value or "#" in value:
        reason = "must be an address such as http://127.0.0.1:8081"
        raise ValueError(reason)
    return value.rstrip("/")


def is_loopback(host: str) -> bool:
    """`localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BrokerSettings(_Section):
    """The MQTT broker: the embedded one of a single machine, or one that runs elsewhere."""

    embedded: bool = Field(
        default=True,
        description="`boxback run` starts the embedded broker (rumqttd). It listens on 127.0.0.1 "
        "only. False: a broker such as mosquitto runs at host and port.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Where the broker is reached. Must be a loopback address for the embedded one.",
    )
    port: int = Field(default=1883, ge=1, le=65535, description="TCP port of the broker.")
    tls_ca: Path | None = Field(
        default=None,
        description="PEM file of the authority that signed the broker's certificate. With it the "
        "gateway speaks TLS to a broker that is not embedded, and checks certificate and name.",
    )
    tls_cert: Path | None = Field(
        default=None,
        description="PEM file of the gateway's own certificate, for a broker that wants one.",
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file of the key of tls_cert, without a pass phrase."
    )
    tls_name: str = Field(
        default="",
        max_length=255,
        description="Name that the broker's certificate must have, when it is not `host`.",
    )
    authenticate: bool = Field(
        default=True,
        description="The embedded broker wants user and password from every client: a bin's are "
        "made from its key, the gateway's are in <data_dir>/gateway/broker.password. A bin that is "
        "added restarts it within users_poll_s.",
    )
    users_poll_s: float = Field(
        default=2.0,
        ge=0.1,
        le=60,
        description="How often the embedded broker looks for added bins.",
    )
    connections_max: int = Field(
        default=1000, ge=2, le=10_000, description="Clients at once at the embedded broker."
    )
    payload_max_bytes: int = Field(
        default=16_384,
        ge=8_192,
        le=1_048_576,
        description="The embedded broker drops a client that sends a larger payload. A journal "
        "payload has at most 8192 bytes.",
    )
    held_max_mb: int = Field(
        default=32,
        ge=2,
        le=4_096,
        description="Megabytes the embedded broker keeps for each subscription; older messages are "
        "lost then, and bins send them again.",
    )
    start_timeout_s: float = Field(
        default=10.0, ge=1, le=120, description="Longest wait for the embedded broker to listen."
    )

    @model_validator(mode="after")
    def _embedded_is_local(self) -> BrokerSettings:
        if self.embedded and not is_loopback(self.host):
            reason = (
                f"host = {self.host!r}: the embedded broker has no topic rights and listens on "
                "127.0.0.1 only; for bins over a network run mosquitto and set embedded = false"
            )
            raise ValueError(reason)
        return self

    @model_validator(mode="after")
    def _tls_belongs_together(self) -> BrokerSettings:
        reason = ""
        if (self.tls_cert is None) != (self.tls_key is None):
            reason = "tls_cert and tls_key belong together: set both or none"
        elif self.tls_ca is None and (self.tls_cert is not None or self.tls_name):
            reason = "tls_cert, tls_key and tls_name need tls_ca, without which there is no TLS"
        elif self.tls_ca is not None and self.embedded:
            reason = "tls_ca: the embedded broker has no TLS; set embedded = false for another one"
        if reason:
            raise ValueError(reason)
        return self


class GatewaySettings(_Section):
    """Intake: MQTT in, verify, commit, receipt."""

    client_id: str = Field(
        default="boxback-gateway",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="MQTT client id, fixed: the durable session at the broker has this name. Two "
        "gateways on one broker must not share it.",
    )
    user: str = Field(
        default="boxback-gateway",
        max_length=64,
        description='User name at the broker; "" connects without user and password.',
    )
    password_file: Path | None = Field(
        default=None,
        description="File with the gateway's password at the broker; by default "
        "<data_dir>/gateway/broker.password, which is made at first start.",
    )
    database: Path | None = Field(
        default=None, description="SQLite file; by default <data_dir>/gateway/gateway.db."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    window_messages: int = Field(
        default=100,
        ge=1,
        le=65_535,
        description="Unacknowledged messages the broker sends at most (embedded: 100, fixed; "
        "mosquitto: max_inflight_messages, 20 unless set). A batch is closed at half of it.",
    )
    batch_lines: int = Field(
        default=512,
        ge=1,
        le=5_000,
        description="Lines after which a batch is closed and committed.",
    )
    batch_wait_ms: int = Field(
        default=10,
        ge=0,
        le=1_000,
        description="Time after its first message when a batch is closed.",
    )
    queue_messages: int = Field(
        default=256,
        ge=1,
        le=10_000,
        description="Messages between network and database. When it is full the broker waits.",
    )
    keep_alive_s: int = Field(default=30, ge=5, le=600, description="MQTT keep alive.")
    reconnect_max_s: float = Field(
        default=30.0,
        ge=0.1,
        le=600,
        description="Longest wait before the broker is tried again; the wait is drawn at random "
        "from zero to a bound that doubles up to this.",
    )
    commit_retry_max_s: float = Field(
        default=10.0,
        ge=0.05,
        le=600,
        description="Longest wait before a commit that failed (disk full, locked) is tried again.",
    )
    database_wait_ms: int = Field(
        default=5_000,
        ge=1,
        le=60_000,
        description="Longest wait for the database's lock in one try.",
    )
    quarantine_rows: int = Field(
        default=10_000,
        ge=100,
        le=1_000_000,
        description="Different bad payloads kept; the oldest go first. Those under a bin's right "
        "MAC do not count: of them 200 are kept for each bin.",
    )
    stop_timeout_s: float = Field(
        default=8.0, ge=1, le=60, description="Longest time from SIGTERM to the end."
    )


class RelaySettings(_Section):
    """Outbox to points backend over HTTP."""

    url: Annotated[str, AfterValidator(_http_url)] = Field(
        default="http://127.0.0.1:8081",
        description="Where the points backend is reached (the `port` of [points]).",
    )
    key_file: Path | None = Field(
        default=None,
        description="File with the gateway's key at the points backend: the key alone, or TOML "
        "with gateway_key. By default <data_dir>/points/keys.toml, which points makes.",
    )
    batch_items: int = Field(
        default=500,
        ge=1,
        le=500,
        description="Items in one request (the backend takes 500 at most).",
    )
    timeout_s: float = Field(default=10.0, ge=0.1, le=120, description="Longest wait for a reply.")
    poll_ms: int = Field(
        default=500,
        ge=10,
        le=60_000,
        description="How often the outbox is looked at when nobody says there is something new.",
    )
    retry_max_s: float = Field(
        default=30.0,
        ge=0.05,
        le=600,
        description="Longest wait before a try after no reply, 5xx or 429; drawn at random from "
        "zero to a bound that doubles up to this.",
    )
    refused_retry_s: float = Field(
        default=30.0,
        ge=0.05,
        le=3_600,
        description="Wait after an answer that an operator must mend: wrong key (401, 403), wrong "
        "address (404).",
    )


class Settings(_Section):
    """The whole of `boxback.toml`."""

    data_dir: Path = Field(
        default=Path(".boxback"),
        description="Folder of everything that is kept. A relative path starts at the working "
        "folder.",
    )
    broker: BrokerSettings = Field(default=BrokerSettings())
    gateway: GatewaySettings = Field(default=GatewaySettings())
    relay: RelaySettings = Field(default=RelaySettings())
    points: dict[str, Any] = Field(
        default_factory=dict,
        description="Settings of the points backend, which checks them itself: "
        "`boxback points --help`.",
    )

    @property
    def gateway_dir(self) -> Path:
        """Where the gateway keeps its files."""
        return self.data_dir / "gateway"

    @property
    def database_path(self) -> Path:
        """The SQLite file in use."""
        return self.gateway.database or self.gateway_dir / "gateway.db"

    @property
    def broker_password_path(self) -> Path:
        """The file of the gateway's password at the broker."""
        return self.gateway.password_file or self.gateway_dir / "broker.password"

    @property
    def relay_key_path(self) -> Path:
        """The file of the gateway's key at the points backend."""
        return self.relay.key_file or self.data_dir / "points" / "keys.toml"


def load(path: Path | None = None) -> Settings:
    """Settings of a file; without a path those of ./boxback.toml, or the defaults without one.

    Raises ConfigError.
    """
    if path is None:
        if not DEFAULT_FILE.exists():
            return Settings()
        path = DEFAULT_FILE
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            reason = f"{path}: is larger than {FILE_MAX_BYTES} bytes: is this the right file?"
            raise ConfigError(reason)
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(reason) from None
    except UnicodeDecodeError:
        reason = f"{path}: is not UTF-8 text"
        raise ConfigError(reason) from None
    except tomllib.TOMLDecodeError as error:
        reason = f"{path}: is not TOML: {error}"
        raise ConfigError(reason) from None
    return settings_from(document, str(path))


def settings_from(document: dict[str, Any], where: str) -> Settings:
    """Settings of a parsed file; `where` names it in errors. Raises ConfigError."""
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        told = [_sentence(dict(slip)) for slip in error.errors(include_url=False)]
        reason = "\n".join([f"{where}: these settings are wrong:", *told])
        raise ConfigError(reason) from None


def _sentence(slip: dict[str, Any]) -> str:
    """One wrong value as text: its key, its value, what is allowed, what it is for."""
    path = [str(part) for part in slip["loc"]]
    key = ".".join(path) or "the file"
    if slip["type"] == "extra_forbidden":
        known = ", ".join(_known_names(path[:-1]))
        place = f"[{path[0]}]" if len(path) > 1 else "the top of the file"
        return f"  {key}: there is no such setting; {place} has: {known}"
    message = str(slip["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if slip["type"] == "value_error" and len(path) < 2:
        return f"  {key}: {message}"
    shown = repr(slip["input"])
    if len(shown) > _SHOWN_VALUE_CHARS:
        shown = shown[:_SHOWN_VALUE_CHARS] + "…"
    return f"  {key} = {shown}: {message}"


def _known_names(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for name in path:
        field = model.model_fields.get(name)
        annotation = field.annotation if field is not None else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return sorted(model.model_fields)
