# TLS over the gated sockets of socket.py. The interpreter's mbedtls does all of it; what is added:
# poll() learns what TLS waits for below, errors of the socket come out as on the chip, and
# certificates are held against the bin's own clock, which knows no date before it was set.
import io

import time
import tls
import uselect
from tls import (
    CERT_NONE,
    CERT_OPTIONAL,
    CERT_REQUIRED,
    MBEDTLS_VERSION,
    PROTOCOL_TLS_CLIENT,
    PROTOCOL_TLS_SERVER,
)

_FATAL = -0x3000  # mbedtls: X509_FATAL_ERROR, what it makes of our verdict
_EINVAL = -22
_verdict = [""]  # why the dates of a certificate were refused last


class _Below(io.IOBase):
    # The socket as mbedtls sees it: from C an error is a negative number, not an exception.
    def __init__(self, sock):
        self.sock = sock
        self.want = 0

    def readinto(self, buf):
        try:
            return self.sock.readinto(buf)
        except OSError as e:
            return -e.errno

    def write(self, buf):
        try:
            return self.sock.write(buf)
        except OSError as e:
            return -e.errno

    def setblocking(self, on):
        self.sock.setblocking(on)

    def ioctl(self, op, arg):
        if op == 3:
            self.want = arg & 5
        elif op != 4:
            return _EINVAL
        return self.sock.ioctl(op, arg)


class SSLSocket(io.IOBase):
    def __init__(self, below, secured):
        self._below = below
        self._tls = secured
        self._real = below.sock._real
        self.setblocking = secured.setblocking

    def _do(self, what, args):
        try:
            return what(*args)
        except OSError as e:
            if e.errno == _FATAL and _verdict[0]:
                raise ValueError(_verdict[0])  # as mbedtls says it when it looked itself
            raise

    def read(self, *args):
        return self._do(self._tls.read, args)

    def readinto(self, *args):
        return self._do(self._tls.readinto, args)

    def readline(self, *args):
        return self._do(self._tls.readline, args)

    def write(self, *args):
        return self._do(self._tls.write, args)

    def want(self):
        """The directions TLS last asked its socket for, as a poll mask."""
        return self._below.want

    def ioctl(self, op, arg):
        if op == 3:
            p = uselect.poll()
            p.register(self._tls, arg)
            got = p.poll(0)
            return got[0][1] if got else 0
        if op == 4:
            self.close()
            return 0
        return _EINVAL

    def close(self):
        self._tls.close()
        self._below.sock.close()  # also when TLS had given up before


class SSLContext:
    def __init__(self, protocol):
        self._context = tls.SSLContext(protocol)
        self._context.verify_mode = CERT_NONE
        self._context.verify_callback = _dates
        self.load_cert_chain = self._context.load_cert_chain
        self.get_ciphers = self._context.get_ciphers
        self.set_ciphers = self._context.set_ciphers

    @property
    def verify_mode(self):
        return self._context.verify_mode

    @verify_mode.setter
    def verify_mode(self, mode):
        self._context.verify_mode = mode
        # Without verification the dates do not count either.
        self._context.verify_callback = _dates if mode else None

    def load_verify_locations(self, cafile=None, cadata=None):
        if cafile is not None:
            with open(cafile, "rb") as f:
                cadata = f.read()
        self._context.load_verify_locations(cadata)

    def wrap_socket(
        self,
        sock,
        server_side=False,
        do_handshake_on_connect=True,
        server_hostname=None,
        client_id=None,
    ):
        below = _Below(sock)
        secured = self._context.wrap_socket(
            below,
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            server_hostname=server_hostname,
        )
        return SSLSocket(below, secured)


def _part(der, at):
    """Tag, begin and end of the DER element at `at`."""
    size = der[at + 1]
    at += 2
    if size & 0x80:
        count = size & 0x7F
        size = 0
        for _ in range(count):
            size = size << 8 | der[at]
            at += 1
    return at, at + size


def _seconds(der, at):
    begin, end = _part(der, at)
    text = bytes(der[begin:end]).decode()
    if der[at] == 0x17:  # UTCTime: two digits of the year
        text = ("19" if text >= "5" else "20") + text
    parts = [int(text[i : i + 2]) for i in range(4, 14, 2)]
    return time.mktime((int(text[:4]), parts[0], parts[1], parts[2], parts[3], parts[4], 0, 0)), end


def _dates(der, depth):
    """mbedtls looks at the host's clock; this looks at the bin's."""
    at, _ = _part(der, 0)
    at, _ = _part(der, at)
    if der[at] == 0xA0:
        _, at = _part(der, at)  # version
    for _ in range(3):
        _, at = _part(der, at)  # number, algorithm, issuer
    at, _ = _part(der, at)
    begin, at = _seconds(der, at)
    end, _ = _seconds(der, at)
    now = time.time()
    if now < begin:
        _verdict[0] = "\nThe certificate validity starts in the future\n"
    elif now > end:
        _verdict[0] = "\nThe certificate validity has expired\n"
    else:
        return 0
    return _FATAL
