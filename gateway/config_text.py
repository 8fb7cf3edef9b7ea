"""The schema of `boxback.toml` as a commented file that explains itself."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape

from gateway.config import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_TEXT_WIDTH: Final = 96


def schema_toml(settings: Settings | None = None) -> str:
    """The whole schema as TOML: every name with its description and its value, commented out.

    Without settings the values are the defaults. `[points]` is named only.
    """
    settings = settings or Settings()
    parts = ["# boxback.toml: every setting with its default. Take the # away to change one."]
    parts.append(_described("data_dir", Settings.model_fields["data_dir"], settings.data_dir))
    for name in ("broker", "gateway", "relay"):
        section: BaseModel = getattr(settings, name)
        title = (type(section).__doc__ or "").strip()
        parts.append(f"\n[{name}]\n# {title}")
        parts.extend(
            _described(key, field, getattr(section, key))
            for key, field in type(section).model_fields.items()
        )
    parts.append(f"\n[points]\n{_comment(Settings.model_fields['points'].description or '')}")
    return "\n".join(parts) + "\n"


def summary() -> str:
    """Every setting with its default and its first sentence, one a paragraph, for a help page."""
    parts = ["Settings of boxback.toml (the section is before the dot) and their defaults:"]
    for name in ("broker", "gateway", "relay"):
        section: BaseModel = getattr(Settings(), name)
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            shown = "not set" if value is None else _toml_value(value)
            sentence = (field.description or "").split(". ")[0].rstrip(".;")
            parts.append(escape(f"{name}.{key} = {shown}: {sentence}"))
    parts.append("points.*: see boxback points --help")
    return "\n\n".join(parts)


def _described(key: str, field: FieldInfo, value: object) -> str:
    shown = '""' if value is None else _toml_value(value)
    hint = " (not set)" if value is None else ""
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
