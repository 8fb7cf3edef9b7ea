"""Who this bin is: id, keys and network, from the NVS partition, where a technician put them."""

from esp32 import NVS

from boxbin.core import wire

NAMESPACE = "boxback"
_BLOB_BYTES_MAX = 128
_DER_BYTES_MAX = 2_048
_NTP_PORT = 123
_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND, which MicroPython raises negated


class IdentityError(ValueError):
    """The NVS partition does not hold a whole identity: the bin must be provisioned."""


class Identity:
    """All of it as attributes. Raises IdentityError that names the missing or wrong key.

    `tls` says whether the link must be TLS; `der` reads the certificates when they are needed.
    """

    def __init__(self):
        nvs = NVS(NAMESPACE)
        self.bin_id = _text(nvs, "bin")
        if not wire.is_bin_id(self.bin_id):
            raise IdentityError("NVS key bin is %r, not a bin id" % self.bin_id)
        self.key = _blob(nvs, "key", wire.KEY_BYTES)
        self.label_key = _blob(nvs, "label_key", wire.KEY_BYTES)
        self.wifi_ssid = _text(nvs, "wifi_ssid")
        self.wifi_key = _text(nvs, "wifi_key")
        self.broker_host = _text(nvs, "broker_host")
        self.broker_port = _number(nvs, "broker_port")
        self.ntp_host = _text(nvs, "ntp_host")
        self.ntp_port = _number(nvs, "ntp_port", _NTP_PORT)
        self.made_s = _number(nvs, "made_s", 0)
        self.tls = bool(der("tls_ca"))
        self.tls_name = _text(nvs, "tls_name", "")
        if bool(der("tls_cert")) != bool(der("tls_key")):
            raise IdentityError("NVS keys tls_cert and tls_key go together, one is missing")


def der(key):
    """A certificate or key in DER, b"" when there is none. Raises IdentityError."""
    return _blob(NVS(NAMESPACE), key, default=b"", most=_DER_BYTES_MAX)


def _blob(nvs, key, size=None, default=None, most=_BLOB_BYTES_MAX):
    buffer = bytearray(most)
    try:
        count = nvs.get_blob(key, buffer)
    except OSError as error:
        if default is not None and error.args[0] == _NOT_FOUND:
            return default
        if error.args[0] == _NOT_FOUND:
            raise IdentityError("NVS key %s is missing" % key)
        raise IdentityError("NVS key %s cannot be read: %r" % (key, error))
    if size is not None and count != size:
        raise IdentityError("NVS key %s has %d bytes, not %d" % (key, count, size))
    return bytes(memoryview(buffer)[:count])  # a slice would be a copy more


def _text(nvs, key, default=None):
    try:
        return _blob(nvs, key, default=None if default is None else default.encode()).decode()
    except UnicodeError:
        raise IdentityError("NVS key %s is not UTF-8 text" % key)


def _number(nvs, key, default=None):
    try:
        return nvs.get_i32(key)
    except OSError:
        if default is None:
            raise IdentityError("NVS key %s is missing" % key)
        return default
