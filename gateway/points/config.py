"""Settings of the points backend: the `[points]` table of boxback.toml. All have defaults."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

# scheme://host[:port] and nothing else: the value is put into a response header.
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.\-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")
MIN_KEY_CHARS = 16


class ConfigError(Exception):
    """The settings or the key file cannot be used; the message says which and what to do."""


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        reason = f"{value!r} is not an origin such as http://127.0.0.1:8080 (no path, no slash)"
        raise ValueError(reason)
    return value


def _key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < MIN_KEY_CHARS:
        reason = f"a key needs at least {MIN_KEY_CHARS} characters"
        raise ValueError(reason)
    return value


Origin = Annotated[str, AfterValidator(_origin)]
Key = Annotated[SecretStr, AfterValidator(_key)]


class PointsSettings(BaseModel):
    """Everything that can be set. An unknown name is an error, so a typing slip is found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="Address the service listens on.")
    port: int = Field(8081, ge=0, le=65535, description="TCP port; 0 takes any free one.")
    data_dir: Path = Field(
        Path(".boxback"), description="Data folder; points keeps its files in <data_dir>/points."
    )
    database: Path | None = Field(
        None, description="SQLite file; by default <data_dir>/points/points.db."
    )
    gateway_key: Key | None = Field(
        None, description="Bearer key of the gateway's relay; by default from points/keys.toml."
    )
    operator_key: Key | None = Field(
        None, description="Bearer key of the operator; by default from points/keys.toml."
    )
    pepper: Key | None = Field(
        None,
        description="Key under which label hashes are stored; by default from points/keys.toml. "
        "Never change it: a label seen under an old pepper would earn again.",
    )
    points_per_carton: int = Field(10, ge=1, le=100_000, description="Points for one carton.")
    label_required: bool = Field(
        default=True, description="A deposit without a label hash is refused (label_missing)."
    )
    public_url: Origin | None = Field(
        None, description="Origin members reach the page at; by default the address of the request."
    )
    frame_ancestors: tuple[Origin, ...] = Field(
        (), max_length=20, description="Origins that may show the member's page in a frame."
    )
    enrolment_ttl_s: int = Field(
        900, ge=1, le=86_400, description="How long an enrolment code is good."
    )
    session_ttl_s: int = Field(
        180 * 86_400, ge=60, description="How long a phone sees its balance before it enrols again."
    )
    cookie_secure: bool = Field(
        default=False, description="Send the session cookie over https only. True in production."
    )
    behind_proxy: bool = Field(
        default=False, description="Trust X-Forwarded-For and -Proto of a proxy on this machine."
    )
    enrol_tries_per_minute: int = Field(
        30, ge=1, description="Enrolment tries from one address (IPv6: one /64) in a minute."
    )
    stream_limit: int = Field(
        200, ge=1, le=10_000, description="Live update streams open at once, in one process."
    )
    stream_poll_ms: int = Field(
        100,
        ge=20,
        le=5_000,
        description="How often new entries are looked for, while streams are open.",
    )
    stream_life_s: int = Field(
        3_600, ge=1, description="A stream ends after this time; the page opens it again."
    )
    connection_limit: int = Field(
        512, ge=1, description="Connections at once; further ones are answered 503."
    )
    request_wait_s: int = Field(
        10,
        ge=1,
        le=600,
        description="Longest wait for a whole request, and for an answer to be read; "
        "then the connection is closed.",
    )
    body_limit_bytes: int = Field(
        1_048_576, ge=1_024, description="Largest request body; larger ones are answered 413."
    )
    database_wait_ms: int = Field(
        5_000, ge=1, le=60_000, description="Longest wait for the database's lock, then 503."
    )

    @property
    def folder(self) -> Path:
        """Where the service keeps its files."""
        return self.data_dir / "points"

    @property
    def database_path(self) -> Path:
        """The SQLite file in use."""
        return self.database or self.folder / "points.db"

    @property
    def keys_path(self) -> Path:
        """The file of the keys that the settings do not give."""
        return self.folder / "keys.toml"


def settings_from(table: dict[str, Any], where: str) -> PointsSettings:
    """Check a `[points]` table.

    `where` names its origin for the error. Raises ConfigError naming each wrong value.
    """
    try:
        return PointsSettings.model_validate(table)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in slip['loc']) or 'points'}: {slip['msg']}"
            for slip in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise ConfigError("\n".join([f"{where}: these settings are wrong", *lines])) from None


def load_settings(path: Path | None, **overrides: object) -> PointsSettings:
    """Read the `[points]` table of a TOML file (None: all defaults).

    A `data_dir` at the top of the file counts too. Overrides that are None are left out.
    Raises ConfigError.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            reason = f"{path}: cannot be read: {error.strerror}"
            raise ConfigError(reason) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            reason = f"{path}: is not TOML: {error}"
            raise ConfigError(reason) from None
        found: object = document.get("points", {})
        if not isinstance(found, dict):
            reason = f"{path}: [points] must be a table"
            raise ConfigError(reason)
        table = dict(found)
        if "data_dir" in document:
            table = {"data_dir": document["data_dir"], **table}
    given = {name: value for name, value in overrides.items() if value is not None}
    return settings_from({**table, **given}, str(path or "command line"))
