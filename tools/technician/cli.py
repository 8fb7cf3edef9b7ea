"""`boxback image`: build what a bin's flash holds, and look at it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tools.technician.build import BUILD, BuildError, build_firmware, make_flash_image

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _image() -> None:
    """Keep `build` a command of its own although it is the only one."""


def _fail(why: str) -> NoReturn:
    typer.echo(f"boxback: {why}", err=True)
    raise typer.Exit(1)


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the image goes.")] = BUILD
    / "vfs.bin",
    as_json: Annotated[bool, typer.Option("--json", help="Sizes as JSON, for scripts.")] = False,
) -> None:
    """Compile the firmware and make the LittleFS image of a 4 MB board's `vfs` partition.

    These are the very files that the virtual bin and the tests run. Writing them to a chip is a
    later issue; until then `esptool write-flash 0x200000 vfs.bin` does it by hand.
    """
    try:
        firmware = build_firmware()
    except (BuildError, OSError) as error:
        _fail(str(error))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        make_flash_image(out, firmware)
    except BuildError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{out}: cannot be written: {error.strerror}. Choose another place with --out")
    sizes = {
        str(path.relative_to(firmware)): path.stat().st_size
        for path in sorted(firmware.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    total = sum(sizes.values())
    if as_json:
        typer.echo(json.dumps({"image": str(out), "bytes": total, "files": sizes}))
        return
    for name, size in sizes.items():
        typer.echo(f"{size:>8}  {name}")
    typer.echo(f"{total:>8}  in all -> {out}")
