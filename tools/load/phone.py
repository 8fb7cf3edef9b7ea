"""A member's phone without a browser, for load and benchmarks: it makes passes and hears its page.

The pass is made as the page makes it (DESIGN.md, "The wire"): `BB1.<handle>.<step>.<mac>`, the mac
being Crockford base32 of HMAC-SHA256(secret, the text before it)[:10].
"""

from __future__ import annotations

import base64
import hmac
import json
import queue
import time

import httpx

STEP_S = 30
REQUEST_S = 20.0
_TO_CROCKFORD = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)


class Phone:
    """Enrolled with a link as `boxback points member add` prints it. Raises httpx.HTTPError."""

    def __init__(self, points_url: str, link: str) -> None:
        code = link.rpartition("#enrol=")[2]
        self._client = httpx.Client(base_url=points_url, timeout=REQUEST_S)
        got = self._client.post("/v1/enrol", json={"code": code}).raise_for_status().json()
        self.handle = str(got["handle"])
        self._secret = base64.urlsafe_b64decode(got["secret"] + "=" * (-len(got["secret"]) % 4))

    def pass_text(self) -> str:
        """The pass of this half minute."""
        text = f"BB1.{self.handle}.{int(time.time()) // STEP_S}"
        mac = hmac.digest(self._secret, text.encode(), "sha256")[:10]
        return f"{text}.{base64.b32encode(mac).decode().translate(_TO_CROCKFORD)}"

    def listen(self, balances: queue.Queue[float]) -> None:
        """Put the monotonic time of each live entry into the queue; ends with the service."""
        try:
            with self._client.stream("GET", "/v1/me/events", timeout=None) as answer:
                event = ""
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        event = value
                    elif name == "data" and event == "entry" and json.loads(value):
                        balances.put(time.monotonic())
        except httpx.TransportError:
            return
