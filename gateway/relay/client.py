"""One request to the points backend, and what its answer means for the items in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import httpx
import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPOSITS: Final = "/v1/deposits"
REPLY_MAX_BYTES: Final = 1 << 20
RETRY_AFTER_MAX_S: Final = 600.0
_SHOWN_CHARS: Final = 200
_AMOUNT_MAX: Final = 2**53
CODE_MAX_CHARS: Final = 24

_BODY_REFUSED: Final = frozenset({400, 413, 422})
"""The body as a whole: one of its items is to blame, or there are too many."""
_LATER: Final = frozenset({408, 425, 429})


_Amount = Annotated[int, msgspec.Meta(ge=-_AMOUNT_MAX, le=_AMOUNT_MAX)]


class Result(msgspec.Struct, frozen=True):
    """What was decided about one item."""

    id: str
    status: Literal["credited", "refused", "withdrawn"]
    points: _Amount
    balance: _Amount
    code: Annotated[str, msgspec.Meta(max_length=CODE_MAX_CHARS)]
    why: str


class _Results(msgspec.Struct, frozen=True):
    results: list[Result]


class _Refusal(msgspec.Struct, frozen=True):
    """What points answers with a 4xx; no proxy and no other server does."""

    code: str
    why: str


class Done(NamedTuple):
    """Every item was decided; results in the order of the items."""

    results: list[Result]


class Later(NamedTuple):
    """Nobody knows whether the work was done. Sending the same again is harmless.

    `blames`: the backend had the items and failed, so one of them may be the cause.
    """

    reason: str
    at_least_s: float = 0.0
    blames: bool = False


class Refused(NamedTuple):
    """The body as a whole was refused for good, by points itself."""

    reason: str


class Mend(NamedTuple):
    """An operator must do something (key, address, version); the items are not to blame."""

    reason: str


Reply = Done | Later | Refused | Mend

_decode = msgspec.json.Decoder(_Results).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode


def post(client: httpx.Client, url: str, key: str, ids: Sequence[str], body: bytes) -> Reply:
    """Send one body whose items have these ids. Does not raise for anything the network does."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        with client.stream("POST", url + DEPOSITS, content=body, headers=headers) as response:
            text = _bounded(response)
    except httpx.TimeoutException as error:
        blames = isinstance(error, httpx.ReadTimeout)
        return Later(f"no reply in time ({type(error).__name__})", blames=blames)
    except httpx.RequestError as error:
        blames = isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
        return Later(f"no reply: {error or type(error).__name__}", blames=blames)
    if text is None:
        return Later(f"a reply over {REPLY_MAX_BYTES} bytes: is this the points backend?")
    return _meaning(response, text, ids)


def _bounded(response: httpx.Response) -> bytes | None:
    parts, size = [], 0
    for part in response.iter_bytes():
        size += len(part)
        if size > REPLY_MAX_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _meaning(response: httpx.Response, text: bytes, ids: Sequence[str]) -> Reply:
    status = response.status_code
    told = text[:_SHOWN_CHARS].decode("utf-8", "replace")
    if status == httpx.codes.OK:
        return _results(text, ids)
    if status in _BODY_REFUSED and _is_from_points(text):
        return Refused(f"HTTP {status}: {told}")
    if status in _LATER or response.is_server_error:
        return Later(f"HTTP {status}", _retry_after_s(response), response.is_server_error)
    return Mend(f"HTTP {status}: {told}")


def _is_from_points(text: bytes) -> bool:
    try:
        _decode_refusal(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _results(text: bytes, ids: Sequence[str]) -> Reply:
    try:
        results = _decode(text).results
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Mend(f"HTTP 200 with another body than version 1's: {error}")
    if [result.id for result in results] != list(ids):
        return Mend("HTTP 200 with other items than were sent")
    return Done(results)


def _retry_after_s(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return min(float(value), RETRY_AFTER_MAX_S)
    return 0.0
