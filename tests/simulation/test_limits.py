"""The whole firmware within its heap, with TLS: `python -m tools.load.limits` has all the figures."""

from __future__ import annotations

import pytest

from tools.load import limits
from tools.load.life import PHASES, Failed, Life, make_trust, store
from tools.virtual.process import FIRMWARE_HEAP_KB

MARGIN_KB = 1  # 187 to 189 were needed from run to run: certificates are new each time
STORED = 20
LARGEST_BYTES = 2_049  # a batch of lines


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return store(tmp_path_factory.mktemp("image"), STORED)


def test_a_day_with_tls_in_a_smaller_heap_than_a_bin_has(tmp_path, image):
    """Start, more visits than labels are remembered, TLS with certificates, catching up."""
    heap_kb = FIRMWARE_HEAP_KB - MARGIN_KB
    done, why = limits.live(tmp_path / "bin", make_trust(), image, heap_kb)
    assert (done, why) == (list(PHASES), "")


def test_the_largest_pieces_of_a_day(tmp_path, image):
    """No phase but TLS, whose context is MicroPython's own, asks for a piece above LARGEST_BYTES
    once the modules are loaded, and what lives after a phase does not grow to the next.
    """
    found = limits.measure_phases(tmp_path / "bin", None, image)
    assert list(found) == list(PHASES)
    for name in PHASES[1:]:
        assert found[name]["largest"][0] <= LARGEST_BYTES, (name, found[name])
        assert 0 < found[name]["lives"] <= found[name]["peak"], (name, found[name])
    assert found["visit online"]["lives"] <= found["connect"]["peak"]


def test_a_heap_that_is_too_small_is_noticed(tmp_path):
    life = Life(tmp_path / "bin", heap_kb=limits.EMULATION_KB + 100)
    with life.bin, pytest.raises(Failed, match=r"^start: .*"):
        list(life.phases())


def test_code_and_sizes_and_time_to_ready(tmp_path):
    code = limits.measure_code(tmp_path / "code")
    assert {"app", "link", "core/rules", "core/visit", "flash"} <= code.keys()
    assert 40_000 < sum(code.values()) < FIRMWARE_HEAP_KB * 1024
    assert limits.measure_size()["bytes"] > limits.measure_size()["files"] > 40
