"""Passes against vectors, made by other code than the code under test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.points.passes import (
    crockford,
    genuine,
    in_time,
    make_pass,
    pass_mac,
    random_crockford,
    read_pass,
)
from tests.support.points import CROCKFORD, plain_pass

VECTORS = json.loads(Path(__file__).parents[2].joinpath("vectors", "pass.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["passes"], ids=lambda vector: vector["pass"])
def test_vectors(vector: dict[str, str | int]) -> None:
    secret, handle, step = (
        bytes.fromhex(str(vector["secret"])),
        str(vector["handle"]),
        int(vector["step"]),
    )
    assert make_pass(secret, handle, step * 30_000) == vector["pass"]
    assert make_pass(secret, handle, step * 30_000 + 29_999) == vector["pass"]
    # The straightforward code of the tests, which made the vectors, agrees still.
    assert plain_pass(secret, handle, step) == vector["pass"]
    shown = read_pass(str(vector["pass"]))
    assert shown is not None
    assert (shown.handle, shown.step) == (handle, step)
    assert genuine(shown, secret)
    assert not genuine(shown, secret[:-1] + bytes([secret[-1] ^ 1]))


@pytest.mark.parametrize("vector", VECTORS["base32"], ids=lambda vector: vector["hex"])
def test_base32_vectors(vector: dict[str, str]) -> None:
    assert crockford(bytes.fromhex(vector["hex"])) == vector["text"]


def test_mac_holds_handle_and_step() -> None:
    macs = {pass_mac(bytes(20), handle, step) for handle in ("0" * 8, "1" * 8) for step in (1, 2)}
    assert len(macs) == 4


def test_pass_fits_a_small_qr_code() -> None:
    """38 letters: QR version 2, level M, alphanumeric, until the year 2065."""
    assert len(make_pass(bytes(20), "0" * 8, 3_000_000_000_000)) <= 38 + 1
    assert len(make_pass(bytes(20), "0" * 8, 1_795_000_000_000)) == 38


def test_negative_scan_time_is_no_crash() -> None:
    shown = read_pass(make_pass(bytes(20), "0" * 8, 0))
    assert shown is not None
    assert in_time(shown, "ntp", -1, 0)
    assert not in_time(shown, "ntp", -30_001, 0)


def test_random_letters_are_crockford() -> None:
    text = random_crockford(2_000)
    assert set(text) == set(CROCKFORD)
