"""Virtual bins for tests: an identity, a bin that runs a script in place of the firmware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.technician.build import make_flash_image
from tools.virtual.flashlab import FlashLab
from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin

BIN = "B-7K2QM"


def identity(**values: Any) -> Identity:
    """An identity with keys that are no secret."""
    return Identity(**({"bin": BIN, "key": bytes(range(32)), "label_key": bytes(32)} | values))


def empty_firmware(tmp_path: Path) -> Path:
    """A firmware folder with nothing in it, for bins that run one script only."""
    folder = tmp_path / "no-firmware"
    folder.mkdir(exist_ok=True)
    return folder


def scripted(tmp_path: Path, main: str, **values: Any) -> VirtualBin:
    """A bin whose /main.py is `main`; in virtual time unless said otherwise."""
    values.setdefault("virtual_time", True)
    return VirtualBin(
        values.pop("identity", None) or identity(),
        tmp_path / "bin",
        firmware=empty_firmware(tmp_path),
        files={"/main.py": main.encode()},
        **values,
    )


def said(virtual_bin: VirtualBin) -> list[str]:
    """What the program printed, without the supervisor's own lines."""
    return [line for line in virtual_bin.console_tail(500) if not line.startswith("--- ")]


def run_to_end(virtual_bin: VirtualBin, timeout_s: float = 30.0) -> list[str]:
    """Start, wait until main.py has ended, stop; returns what it printed."""
    with virtual_bin:
        virtual_bin.wait_for_state("halted", timeout_s)
        return said(virtual_bin)


def lab(tmp_path: Path) -> FlashLab:
    """A flash image with nothing on it, and scripts to run there."""
    image = make_flash_image(tmp_path / "empty.img", empty_firmware(tmp_path))
    return FlashLab(tmp_path / "lab", image)
