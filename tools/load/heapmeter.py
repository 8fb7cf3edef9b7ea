"""The MicroPython interpreter with a meter at its heap.

Run in place of tools/virtual/interpreter.py. Every call of `gc_alloc` and `gc_realloc` inside the
interpreter's library comes through here (their entries in the library's jump table lead here), so
the largest piece that was ever asked for is exact. After each SAMPLE_BYTES of allocations the
garbage is collected and what is left is counted, so the peak of what lives at one time is true to
a kilobyte; the program cannot tell. Loading of a `.mpy` is watched as well: what stays of it is
bytecode and new names.

Figures go to the file `heap.meter` of the working folder (tools/load/limits.py reads them, and
sets them to zero where a phase begins), modules to `heap.loads` whenever LIVE was set to zero.
Runs without site-packages.
"""

import ctypes
import mmap
import runpy
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

METER, LOADS = "heap.meter", "heap.loads"
LIVE, PEAK, TOPS = 0, 1, 2  # places in the meter, 8 bytes each; from TOPS on the largest sizes
TOPS_KEPT = 6
SLOTS = TOPS + TOPS_KEPT
SAMPLE_BYTES = 1024
FIRMWARE = b"/app/"
HEAD_BYTES = 16
NAMES_BYTES = 14_000  # the last doubling of the table of names is the emulation's (process.py)
JUMP_SLOT = 7  # R_X86_64_JUMP_SLOT
RELOCATIONS, SYMBOLS = 4, 11  # kinds of ELF sections: SHT_RELA, SHT_DYNSYM

ALLOC = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)
REALLOC = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_bool)
LOAD = ctypes.PYFUNCTYPE(None, ctypes.c_size_t, ctypes.c_void_p)


def jump_table(path: Path) -> dict[str, tuple[int, int]]:
    """Name of a function -> (where its entry lies, where it lies itself), in an ELF library."""
    data = path.read_bytes()
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    # name, kind, flags, address, offset, size, link to another section, …
    sections = [struct.unpack_from("<IIQQQQI", data, table + i * size) for i in range(count)]
    symbols = next(section for section in sections if section[1] == SYMBOLS)
    names = sections[symbols[6]][4]
    found = {}
    for section in sections:
        if section[1] != RELOCATIONS:
            continue
        for at in range(section[4], section[4] + section[5], 24):
            entry, info = struct.unpack_from("<QQ", data, at)
            if info & 0xFFFFFFFF == JUMP_SLOT:
                name, value = struct.unpack_from("<I4xQ", data, symbols[4] + 24 * (info >> 32))
                text = data[names + name : data.index(0, names + name)].decode()
                found[text] = (entry, value)
    return found


class Meter:
    """Puts itself between the interpreter and its heap."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.PyDLL(str(path))
        self._table = jump_table(path)
        _, value = self._table["gc_alloc"]
        self._base = self._address("gc_alloc") - value
        self._kept: list[Any] = []  # what C calls must not be collected by Python
        self._since = 0
        self._loading: set[int] | None = None  # pieces asked for while a module is loaded
        self._info = (ctypes.c_size_t * 16)()
        file = Path(METER).open("r+b")  # noqa: SIM115  (open for as long as this process lives)
        self._memory = mmap.mmap(file.fileno(), 8 * SLOTS)
        self.slots = memoryview(self._memory).cast("Q")
        self._modules: dict[str, dict[int, tuple[int, bytes]]] = {}
        self._library.qstr_str.restype = ctypes.c_char_p
        self._library.gc_nbytes.restype = ctypes.c_size_t
        self._library.gc_nbytes.argtypes = [ctypes.c_void_p]

    def attach(self) -> None:
        """From now on every allocation is seen."""
        alloc = self._replace("gc_alloc", ALLOC, lambda *a: self._alloc(alloc, a[0], a))
        realloc = self._replace("gc_realloc", REALLOC, lambda *a: self._alloc(realloc, a[1], a))
        load = self._replace("mp_raw_code_load_file", LOAD, lambda *a: self._load(load, *a))

    def _replace(self, name: str, kind: Any, new: Callable[..., Any]) -> Callable[..., Any]:
        """Have all callers of `name` come to `new`; returns the function itself."""
        original = kind(self._address(name))
        callback = kind(new)
        self._kept += [original, callback]
        place = self._base + self._table[name][0]
        ctypes.c_void_p.from_address(place).value = ctypes.cast(callback, ctypes.c_void_p).value
        return original  # type: ignore[no-any-return]

    def _address(self, name: str) -> int:
        return ctypes.cast(getattr(self._library, name), ctypes.c_void_p).value or 0

    def _alloc(self, original: Callable[..., Any], size: int, arguments: tuple[Any, ...]) -> Any:
        self._since += size
        if not self.slots[LIVE]:
            self._report()
        elif self._since > SAMPLE_BYTES:
            self.sample()
        if size > self.slots[SLOTS - 1] and size not in self.slots[TOPS:]:
            tops = sorted([*self.slots[TOPS : SLOTS - 1], size], reverse=True)
            for i, top in enumerate(tops):
                self.slots[TOPS + i] = top
        got = original(*arguments)
        if self._loading is not None and got:
            self._loading.add(got)
        return got

    def sample(self) -> int:
        """Bytes that live now."""
        self._since = 0
        if not self._library.gc_is_locked():
            self._library.gc_collect()
        self._library.gc_info(self._info)
        live = int(self._info[1])
        self.slots[LIVE] = live
        self.slots[PEAK] = max(self.slots[PEAK], live)
        return live

    def _look(self, piece: int) -> tuple[int, bytes]:
        """Size and first bytes of a piece, by which it is known again; (0, b"") when it is free."""
        size = self._library.gc_nbytes(piece)
        return (size, ctypes.string_at(piece, HEAD_BYTES)) if size else (0, b"")

    def _report(self) -> None:
        """What lives of each module that was loaded; not the code of its body, which has run."""
        self.sample()
        with Path(LOADS).open("w") as file:
            for path, pieces in self._modules.items():
                kept = (found[0] for piece, found in pieces.items() if self._look(piece) == found)
                file.write(f"{path} {sum(size for size in kept if size < NAMES_BYTES)}\n")

    def _load(self, original: Callable[..., Any], name: int, context: int) -> None:
        pieces: set[int] = set()
        self._loading = pieces
        original(name, context)
        self._loading = None
        self.sample()
        path = self._library.qstr_str(name)
        self._modules[path.decode()] = {piece: self._look(piece) for piece in pieces}
        if not path.startswith(FIRMWARE):  # the emulation, which a chip does not have
            for i in range(PEAK, SLOTS):
                self.slots[i] = 0


def main() -> None:
    """The arguments are those of interpreter.py."""
    library = next(Path(sys.argv[1]).glob("micropython_run*.so"))
    Meter(library).attach()
    runpy.run_path(str(Path(__file__).parents[1] / "virtual" / "interpreter.py"))


if __name__ == "__main__":
    main()
