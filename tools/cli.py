"""`boxback`: the one command, put together from the groups of gateway and tools."""

from __future__ import annotations

import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gateway.cli import add_run, broker_app
from gateway.cli import app as gateway_app
from gateway.fleet.cli import app as fleet_app
from gateway.points.cli import app as points_app
from gateway.points.config import PointsSettings
from gateway.relay.cli import app as relay_app
from tools.load.cli import app as load_app
from tools.technician.cli import app as image_app
from tools.virtual.cli import app as bin_app
from tools.virtual.replay.cli import record, replay
from tools.virtual.visits.cli import app as visits_app

USAGE, FAILURE = 2, 1

app = typer.Typer(
    name="boxback",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Smart bins that take parcel cartons back and give points for them.\n\n"
    "To see it all at once: **boxback try**",
)


@app.command("try")
def try_(
    data_dir: Annotated[
        Path, typer.Option(help="Where this country is kept; delete it to begin anew.")
    ] = Path(".boxback/try"),
    page_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the page. [default: 8080]")
    ] = None,
    points_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of points. [default: 8081]")
    ] = None,
    broker_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the broker. [default: 1883]")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page.")] = False,
) -> None:
    """A small country on this machine: one bin, one member, everything real behind the page.

    Starts broker, gateway, points backend and a virtual bin that runs the real firmware, prints
    the address of the page and runs until Ctrl-C. A default port that is taken gives way to a free
    one.
    """
    from gateway.site import stop_on_signals  # noqa: PLC0415  (other commands start faster)
    from tools.country import PORTS, Country, CountryError, choose_ports  # noqa: PLC0415

    console = Console(stderr=True)
    stopping = stop_on_signals()
    with _plain_errors(console, data_dir), _steps(console, stopping) as say:
        ports = choose_ports({"page": page_port, "points": points_port, "broker": broker_port})
        with Country(data_dir, ports, say, stopping=stopping) as country:
            say("")
            typer.echo(f"\n  Boxback is running:  {country.page_url}\n")
            typer.echo(f"  the member's page    {country.points_url}")
            typer.echo(f"  the broker           mqtt://127.0.0.1:{ports['broker']}")
            typer.echo(f"  kept in              {data_dir}  (log: {data_dir / 'country.log'})")
            for name, usual in PORTS.items():
                asked = {"page": page_port, "points": points_port, "broker": broker_port}[name]
                if asked is None and ports[name] != usual:
                    typer.echo(f"  (port {usual} was taken: the {name} listens on {ports[name]})")
            typer.echo("  Ctrl-C ends it.")
            if open_browser:
                webbrowser.open(country.page_url)
            ended = country.site.wait(stopping)
            console.print("\n  Stopping …", markup=False)
            if ended is not None:
                raise CountryError(
                    f"{ended.child.name} {ended.ending()}; the others were stopped. "
                    f"The last lines of {data_dir / 'country.log'} say why"
                )
        console.print(f"  Stopped. Everything is kept in {data_dir}.", markup=False)


@contextmanager
def _plain_errors(console: Console, data_dir: Path) -> Iterator[None]:
    """Expected troubles end as one line and an exit code; a start that is called off ends well."""
    from gateway.broker import BrokerError  # noqa: PLC0415
    from gateway.config import ConfigError  # noqa: PLC0415
    from gateway.processes import ChildError, Stopped  # noqa: PLC0415
    from gateway.store import StoreError  # noqa: PLC0415
    from tools.country import CountryError  # noqa: PLC0415
    from tools.technician.build import BuildError  # noqa: PLC0415
    from tools.virtual.identity import IdentityError  # noqa: PLC0415

    try:
        yield
    except Stopped:
        raise typer.Exit from None
    except (ConfigError, IdentityError) as error:
        console.print(f"boxback: {error}", style="red", markup=False)
        raise typer.Exit(USAGE) from None
    except (BrokerError, BuildError, ChildError, CountryError, StoreError, OSError) as error:
        console.print(f"boxback: {error}", style="red", markup=False, soft_wrap=True)
        if isinstance(error, ChildError):
            console.print(f"  its last words are in {data_dir / 'country.log'}", markup=False)
        raise typer.Exit(FAILURE) from None


@contextmanager
def _steps(console: Console, stopping: threading.Event) -> Iterator[Callable[[str], None]]:
    """Give a function that shows which step is going on, and how long the start took.

    It raises Stopped instead when the end has been asked for: no further step is begun.
    """
    from gateway.processes import Stopped  # noqa: PLC0415

    started_s = time.monotonic()
    with console.status("Starting …") as status:
        lock = threading.Lock()

        def say(step: str) -> None:
            if stopping.is_set():
                raise Stopped
            with lock:
                if step:
                    console.print(f"  {time.monotonic() - started_s:4.1f} s  {step}", markup=False)
                else:
                    status.stop()

        yield say


add_run(app, {"points": PointsSettings})
app.add_typer(gateway_app, name="gateway")
app.add_typer(points_app, name="points")
app.add_typer(fleet_app, name="fleet")
app.add_typer(relay_app, name="relay")
app.add_typer(broker_app, name="broker")
app.add_typer(bin_app, name="bin", help="Bins at hand: today the virtual one.")
app.command()(replay)
app.command()(record)
app.add_typer(visits_app, name="visits")
app.add_typer(load_app, name="load")
app.add_typer(image_app, name="image", help="What is written into a bin's flash.")


def main() -> None:
    """Entry point of the `boxback` script."""
    app()


if __name__ == "__main__":
    main()
