"""The member's page as files: headers, no foreign host, vendored code as it came."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from gateway.points.app import PAGES
from tests.support.points import points_service

if TYPE_CHECKING:
    from tests.support.points import PointsService

ROOT = Path(__file__).parents[3]
FILES = sorted(str(path.relative_to(PAGES)) for path in PAGES.rglob("*") if path.is_file())
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)


@pytest.mark.parametrize("path", ["/", "/style.css", "/js/app.js", "/healthz", "/v1/me", "/none"])
def test_headers_are_on_every_answer(points: PointsService, path: str) -> None:
    headers = httpx.get(points.url + path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-store" if path.startswith("/v1") else "no-cache")
    assert "server" not in headers


def test_frame_ancestors_are_a_setting(tmp_path: Path) -> None:
    origins = ["http://127.0.0.1:8080", "https://boxback.example"]
    with points_service(tmp_path, frame_ancestors=origins) as framed:
        policy = httpx.get(framed.url + "/").headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' " + " ".join(origins))


@pytest.mark.parametrize("name", FILES)
def test_files_are_served_as_what_they_are(points: PointsService, name: str) -> None:
    answer = httpx.get(f"{points.url}/{name}")
    assert answer.content == (PAGES / name).read_bytes()
    kind = answer.headers["content-type"].partition(";")[0]
    kinds = {
        ".js": {"text/javascript", "application/javascript"},
        ".mjs": {"text/javascript", "application/javascript"},
        ".css": {"text/css"},
        ".svg": {"image/svg+xml"},
        ".html": {"text/html"},
    }
    assert kind in kinds.get(Path(name).suffix, {kind})


def test_nothing_above_the_pages_is_served(points: PointsService) -> None:
    for path in ("/../app.py", "/%2e%2e/app.py", "/js/../../app.py", "/..%2fapp.py"):
        assert httpx.get(points.url + path).status_code == 404


def test_nothing_inline_and_no_other_host() -> None:
    html = (PAGES / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    for name in FILES:
        if not name.startswith("vendor/"):
            text = (PAGES / name).read_text().replace("http://www.w3.org/2000/svg", "")
            assert "//" not in re.sub(r"^\s*//.*|\s// .*", "", text, flags=re.MULTILINE), name


def test_vendored_files_are_as_they_came() -> None:
    vendored = json.loads((PAGES / "vendor" / "VENDOR.json").read_text())
    for one in vendored:
        data = (PAGES / "vendor" / one["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one["sha256"]
        assert (PAGES / "vendor" / one["licence_file"]).exists()
        assert {"name", "version", "licence", "from"} <= set(one)
    told = {one["file"] for one in vendored} | {one["licence_file"] for one in vendored}
    assert told | {"VENDOR.json"} == {path.name for path in (PAGES / "vendor").iterdir()}


def languages() -> dict[str, set[str]]:
    """Find the keys of each language's table."""
    text = (PAGES / "js" / "i18n.js").read_text()
    found: dict[str, set[str]] = {}
    for name, table in re.findall(r"^  (en|zh): \{\n(.*?)^  \},", text, re.MULTILINE | re.DOTALL):
        found[name] = set(
            re.findall(r'(?:^|, ) *"?([a-z_0-9]+(?:\.[a-z_]+)?)"?: "', table, re.MULTILINE)
        )
    return found


def test_both_languages_say_everything() -> None:
    keys = languages()
    assert keys["en"] == keys["zh"]
    assert len(keys["en"]) > 40
    html = (PAGES / "index.html").read_text()
    assert set(re.findall(r'data-t="(\w+)"', html)) <= keys["en"]
    scripts = "".join((PAGES / "js" / name).read_text() for name in ("app.js", "view.js"))
    assert set(re.findall(r'\bt\("([\w.]+)"', scripts)) <= keys["en"]


def test_every_code_of_a_history_has_a_sentence() -> None:
    from gateway.points.credits import WHY
    from gateway.points.withdrawals import CODE

    shown = {code for code in WHY if code.startswith(("pass_", "label_", "time_"))}
    shown -= {"pass_forged", "pass_unknown", "label_missing"}  # no member is known with these
    shown |= {"credited", CODE}
    assert {f"deposit.{code}" for code in shown} <= languages()["en"]
