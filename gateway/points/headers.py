"""Security headers on every answer. A plain ASGI wrapper, so that streams flow through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SecurityHeaders:
    """Everything from here, nothing inline, framed by nobody but the named origins."""

    def __init__(self, app: ASGIApp, frame_ancestors: Sequence[str]) -> None:
        """Take checked origins only: they go into a header as they are."""
        self._app = app
        self._policy = "; ".join(
            [
                "default-src 'self'",
                "img-src 'self' data: blob:",
                "object-src 'none'",
                "base-uri 'none'",
                "form-action 'self'",
                " ".join(["frame-ancestors", "'self'", *frame_ancestors]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add headers to its answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                # Answers hold a member's data; pages must show a new release at once.
                private = scope["path"].startswith("/v1/")
                headers["Cache-Control"] = "no-store" if private else "no-cache"
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
