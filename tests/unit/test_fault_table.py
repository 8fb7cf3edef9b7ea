"""The table of faults: drawn in the docs as it is, and the same set of codes on both sides."""

from __future__ import annotations

import re

from boxbin.core.fill import Fill
from boxbin.core.settings import Settings

from gateway.fleet.faults import ADVICE, CLOSING
from tools.technician.build import FIRMWARE
from tools.technician.faults import FAULTS, PAGE, page
from tools.technician.font import sentences

BOXBIN = FIRMWARE / "boxbin"


def codes_of_the_firmware() -> set[str]:
    """Every code that a bin can tell, out of the sources and of what decides them."""
    found: set[str] = set()
    for path in (BOXBIN / "core").glob("*.py"):
        found |= set(re.findall(r'self\._fault\(now_ms, "(\w+)"', path.read_text()))
        found |= set(re.findall(r'_faults\.append\("(\w+)"\)', path.read_text()))
    found |= set(
        re.findall(r'\["(\w+)"\] if self\._flap_told', (BOXBIN / "core/visit.py").read_text())
    )
    health = (BOXBIN / "health.py").read_text()
    table = health[health.index("warnings = (") : health.index("return visit.faults")]
    found |= set(re.findall(r'^ +\("(\w+)", ', table, re.MULTILINE))
    found |= set(re.findall(r'return \["(\w+)"\]', (BOXBIN / "safe.py").read_text()))
    fill = Fill(Settings())
    for _ in range(5):
        fill.add((None,) * 5)
    found.add(fill.warning())
    fill.add((300,) * 5)
    found.add(fill.warning())
    return found


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tools.technician.faults"
    assert "{" not in page(), "a figure that was not found"


def test_firmware_gateway_and_page_know_the_same_codes() -> None:
    on_page = [fault.code for fault in FAULTS]
    assert len(on_page) == len(set(on_page))
    assert codes_of_the_firmware() == set(on_page) == set(ADVICE)


def test_each_fault_that_closes_has_a_sentence_of_its_own_and_no_other_has() -> None:
    closed = {key.removeprefix("closed_") for key in sentences() if key.startswith("closed_")}
    assert closed == set(CLOSING)
    for fault in FAULTS:
        assert (fault.says == f"closed_{fault.code}") == (fault.code in CLOSING), fault.code
        assert fault.says.startswith("(") or fault.says in sentences(), fault.code
