"""TLS in front of a host of the world: unwraps what the bin sends, wraps what goes back.

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # with a certificate, and who may come
world.net.listen("broker.test", 8883, lambda c: Secured(context, c, gateway.accept))
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from tools.virtual.world.stream import Handler, Stream

READ_BYTES = 16_384


class Secured:
    """One connection: a Handler to the network, a Stream to the handler behind it."""

    def __init__(
        self, context: ssl.SSLContext, stream: Stream, accept: Callable[[Stream], Handler]
    ) -> None:
        self.error = ""  # why the connection was ended here
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._stream = stream
        self._secured = False
        self._handler = accept(self)

    def data(self, data: bytes) -> None:
        """Bytes of the bin, as they come."""
        self._in.write(data)
        try:
            if not self._secured:
                self._tls.do_handshake()
                self._secured = True
            while got := self._tls.read(READ_BYTES):
                self._handler.data(got)
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self.error = str(error)
            self._flush()
            self._stream.close()

    def closed(self) -> None:
        """The bin's end is gone."""
        self._handler.closed()

    def send(self, data: bytes) -> None:
        """To the bin."""
        self._tls.write(data)
        self._flush()

    def close(self, *, reset: bool = False) -> None:
        """End it."""
        self._stream.close(reset=reset)

    def _flush(self) -> None:
        if out := self._out.read():
            self._stream.send(out)
