"""Who a bin is and where its broker listens: what a technician writes into its NVS."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from gateway import wire

BIN_PATTERN = re.compile(r"^B-[0-9A-HJKMNP-TV-Z]{5}$")
KEY_BYTES = 32
SSID = "boxback-virtual"
WIFI_KEY = "no secret: this network exists in one process only"


class IdentityError(Exception):
    """The identity cannot be used; says which value and what is expected."""


@dataclass(frozen=True)
class Identity:
    """The bin's id, its key, the fleet's label key, and the broker's address."""

    bin: str
    key: bytes
    label_key: bytes
    broker_host: str = "127.0.0.1"
    broker_port: int = 1883
    # With tls_ca the bin speaks TLS; cert and key are its own. All in DER, as MicroPython wants.
    tls_ca: bytes = b""
    tls_cert: bytes = b""
    tls_key: bytes = b""
    tls_name: str = ""  # the name in the broker's certificate when it is not broker_host
    made_s: int = 0  # when the bin was provisioned, Unix s: its clock is never before that

    def __post_init__(self) -> None:
        """Refuse what a bin could not use."""
        if not BIN_PATTERN.match(self.bin):
            raise IdentityError(f"bin is {self.bin!r}, expected something like B-7K2QA")
        for name, value in (("key", self.key), ("label_key", self.label_key)):
            if len(value) != KEY_BYTES:
                raise IdentityError(f"{name} has {len(value)} bytes, expected {KEY_BYTES}")
        if not 0 < self.broker_port < 65536:
            raise IdentityError(f"broker_port is {self.broker_port}, expected 1 to 65535")

    def __repr__(self) -> str:
        """Without the keys: this ends up in logs."""
        return f"Identity({self.bin}, broker {self.broker_host}:{self.broker_port})"

    def unique_id(self) -> str:
        """Six bytes in hex that stand for the chip's own number: local, never multicast."""
        return "02" + hashlib.sha256(self.bin.encode()).hexdigest()[:10]

    def key_code(self) -> str:
        """The technician's code that begins and ends a collection. A secret."""
        return wire.key_code(self.bin, self.key)

    def nvs(self, ntp_host: str, ntp_port: int) -> dict[str, int | bytes]:
        """What the NVS namespace `boxback` holds for this bin."""
        more: dict[str, int | bytes] = {
            "tls_ca": self.tls_ca,
            "tls_cert": self.tls_cert,
            "tls_key": self.tls_key,
            "tls_name": self.tls_name.encode(),
            "made_s": self.made_s,
        }
        return {
            "bin": self.bin.encode(),
            "key": self.key,
            "label_key": self.label_key,
            "wifi_ssid": SSID.encode(),
            "wifi_key": WIFI_KEY.encode(),
            "broker_host": self.broker_host.encode(),
            "broker_port": self.broker_port,
            "ntp_host": ntp_host.encode(),
            "ntp_port": ntp_port,
            **{key: value for key, value in more.items() if value},
        }


def load_identity(path: Path) -> Identity:
    """Read an identity file: JSON with bin, key, label_key (hex), broker_host, broker_port.

    Raises IdentityError, which never quotes a key.
    """
    try:
        values = json.loads(path.read_text())
        return Identity(
            bin=str(values["bin"]),
            key=bytes.fromhex(values["key"]),
            label_key=bytes.fromhex(values["label_key"]),
            broker_host=str(values.get("broker_host", "127.0.0.1")),
            broker_port=int(values.get("broker_port", 1883)),
        )
    except FileNotFoundError as error:
        raise IdentityError(f"{path} does not exist") from error
    except json.JSONDecodeError as error:
        raise IdentityError(f"{path} is not JSON: {error}") from error
    except KeyError as error:
        raise IdentityError(f"{path} has no {error}") from error
    except (TypeError, ValueError) as error:
        raise IdentityError(f"{path}: key and label_key must be 64 hex digits") from error
