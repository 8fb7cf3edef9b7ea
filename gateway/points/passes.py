"""The pass: `BB1.<handle>.<step>.<mac>`, made on the phone, checked here and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
STEP_MS = 30_000
SECRET_BYTES = 20
HANDLE_CHARS = 8
MAC_BYTES = 10
STEPS_GOOD_CLOCK = 1
STEPS_POOR_CLOCK = 20

_FORM = re.compile(
    r"BB1\.([0-9A-HJKMNP-TV-Z]{8})\.(0|[1-9][0-9]{0,11})\.([0-9A-HJKMNP-TV-Z]{16})", re.ASCII
)
_TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", CROCKFORD.encode())


@dataclass(frozen=True)
class Pass:
    """What a pass says; whether it is true is another matter (`genuine`)."""

    handle: str
    step: int
    mac: str


def crockford(data: bytes) -> str:
    """Base32 in RFC 4648's bit order with Crockford's letters, no padding."""
    return base64.b32encode(data).rstrip(b"=").translate(_TO_CROCKFORD).decode()


def random_crockford(chars: int) -> str:
    """Draw random letters, 5 bits each."""
    return "".join(secrets.choice(CROCKFORD) for _ in range(chars))


def read_pass(text: str) -> Pass | None:
    """Take a pass apart; None when it has not the form of one."""
    match = _FORM.fullmatch(text)
    return Pass(match[1], int(match[2]), match[3]) if match else None


def pass_mac(secret: bytes, handle: str, step: int) -> str:
    """16 letters that only the holder of the secret can make."""
    message = f"BB1.{handle}.{step}".encode()
    return crockford(hmac.digest(secret, message, hashlib.sha256)[:MAC_BYTES])


def make_pass(secret: bytes, handle: str, at_ms: int) -> str:
    """Make the text a phone shows at this Unix time in ms."""
    step = at_ms // STEP_MS
    return f"BB1.{handle}.{step}.{pass_mac(secret, handle, step)}"


def genuine(shown: Pass, secret: bytes) -> bool:
    """Check the mac in constant time."""
    return hmac.compare_digest(shown.mac, pass_mac(secret, shown.handle, shown.step))


def in_time(shown: Pass, clock: str, scanned_ms: int, arrived_ms: int) -> bool:
    """Was the pass on the phone when it was scanned?

    `clock` is the bin's word for its clock: `ntp` gets one step of grace, `rtc` twenty. With
    `none` the bin knows no time, so the time of arrival at the gateway stands in for it, with
    twenty steps.
    """
    if clock == "none":
        return abs(shown.step - arrived_ms // STEP_MS) <= STEPS_POOR_CLOCK
    grace = STEPS_GOOD_CLOCK if clock == "ntp" else STEPS_POOR_CLOCK
    return abs(shown.step - scanned_ms // STEP_MS) <= grace
