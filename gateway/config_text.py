"""The schema of `boxback.toml` as a commented file that explains itself."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, SecretStr
from rich.markup import escape

from gateway.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_TEXT_WIDTH: Final = 96


_OURS: Final = ("broker", "gateway", "relay")
_NO_MORE: Final[Mapping[str, type[BaseModel]]] = {}


def schema_toml(
    settings: Settings | None = None, more: Mapping[str, type[BaseModel]] = _NO_MORE
) -> str:
    """The whole schema as TOML: every name with its description and its value, commented out.

    Without settings the values are the defaults. `more` are schemas of sections that belong to
    other programs, by name. Raises ValidationError when theirs in `settings` are wrong.
    """
    settings = settings or Settings()
    parts = ["# boxback.toml: every setting with its default. Take the # away to change one."]
    parts.append(_described("data_dir", Settings.model_fields["data_dir"], settings.data_dir))
    for name, section in _sections(settings, more):
        title = (type(section).__doc__ or "").strip()
        parts.append(f"\n[{name}]\n# {title}")
        parts.extend(
            _described(key, field, getattr(section, key))
            for key, field in type(section).model_fields.items()
            if key != "data_dir"  # it stands at the top, for all
        )
    return "\n".join(parts) + "\n"


def summary(more: Mapping[str, type[BaseModel]] = _NO_MORE) -> str:
    """Every setting with its default and its first sentence, one a paragraph, for a help page."""
    parts = ["Settings of boxback.toml (the section is before the dot) and their defaults:"]
    for name, section in _sections(Settings(), more):
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            shown = "not set" if value is None else _toml_value(value)
            sentence = (field.description or "").split(". ")[0].rstrip(".;")
            parts.append(escape(f"{name}.{key} = {shown}: {sentence}"))
    return "\n\n".join(parts)


def _sections(
    settings: Settings, more: Mapping[str, type[BaseModel]]
) -> Iterator[tuple[str, BaseModel]]:
    for name in _OURS:
        yield name, getattr(settings, name)
    for name, schema in more.items():
        yield name, schema.model_validate(getattr(settings, name))


def _described(key: str, field: FieldInfo, value: object) -> str:
    secret = isinstance(value, SecretStr)
    shown = '""' if value is None or secret else _toml_value(value)
    hint = " (not set)" if value is None else " (set, and not shown)" if secret else ""
    limits = _limits(field.metadata)
    text = f"{field.description}{limits}{hint}"
    return f"\n{_comment(text)}\n#{key} = {shown}"


def _limits(metadata: list[Any]) -> str:
    """` (1 to 500)` from pydantic's ge and le."""
    low = next((m.ge for m in metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in metadata if hasattr(m, "le")), None)
    if low is None or high is None:
        return ""
    return f" ({low} to {high})"


def _comment(text: str) -> str:
    return textwrap.fill(
        text, _TEXT_WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def _toml_value(value: object) -> str:
    """Bool, number or text as TOML (its basic strings are a subset of what JSON writes)."""
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value)
