"""What the handlers share: settings, keys, database, live streams. One for each app."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Cookie, Depends, Header, Request

from gateway.points.keys import Keys, same_key
from gateway.points.members import Refusal

if TYPE_CHECKING:
    from gateway.points.batch import Rules
    from gateway.points.config import PointsSettings
    from gateway.points.database import Database
    from gateway.points.limits import Rate
    from gateway.points.live import Live

COOKIE = "boxback_points"


@dataclass(frozen=True)
class Service:
    """Everything a handler may need."""

    settings: PointsSettings
    keys: Keys
    db: Database
    rules: Rules
    live: Live
    enrol_rate: Rate

    def now_ms(self) -> int:
        """Unix time in ms."""
        return time.time_ns() // 1_000_000


def service_of(request: Request) -> Service:
    """Find the service of the app that answers."""
    return cast("Service", request.app.state.service)


Svc = Annotated[Service, Depends(service_of)]
Session = Annotated[str | None, Cookie(alias=COOKIE)]
Bearer = Annotated[str, Header(alias="Authorization")]


def _check(given: str, wanted: str) -> None:
    scheme, _, key = given.partition(" ")
    if scheme.lower() != "bearer" or not same_key(key.strip(), wanted):
        raise Refusal(401, "key_wrong", "The Authorization header does not hold the right key.")


def gateway_only(svc: Svc, authorization: Bearer = "") -> None:
    """Let only the gateway's relay in. Raises Refusal (key_wrong)."""
    _check(authorization, svc.keys.gateway_key)


def operator_only(svc: Svc, authorization: Bearer = "") -> None:
    """Let only the operator in. Raises Refusal (key_wrong)."""
    _check(authorization, svc.keys.operator_key)


def same_origin(request: Request, svc: Svc) -> None:
    """Refuse what another site's page sends in a member's name. Raises Refusal (cross_origin)."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    own = {f"{request.url.scheme}://{request.headers.get('host', '')}", svc.settings.public_url}
    if site not in {"same-origin", "none"} or (origin is not None and origin not in own):
        raise Refusal(403, "cross_origin", "Only the member's own page may ask for this.")
