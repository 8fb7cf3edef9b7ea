"""Command lines of the gateway: `boxback gateway`, `boxback broker` and `boxback run`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from pydantic import BaseModel, ValidationError

from gateway import log
from gateway.clihelp import FAILURE, USAGE, ConfigOption, fail, settings_or_exit
from gateway.config import ConfigError
from gateway.config_text import schema_toml, summary

app = typer.Typer(
    name="gateway",
    no_args_is_help=True,
    help="The gateway: takes lines from bins over MQTT, makes them durable, passes them on.",
)
broker_app = typer.Typer(
    name="broker",
    no_args_is_help=True,
    help="The embedded MQTT broker, for one machine. Bins over a network want mosquitto or larger.",
)


@app.callback()
def _gateway() -> None:
    """Keep `serve` a command of its own although it is the only one."""


@broker_app.callback()
def _broker() -> None:
    """Keep `run` a command of its own although it is the only one."""


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run intake and relay until SIGTERM or Ctrl-C.

    The broker and the points backend may come and go: the gateway waits for them. It ends with
    code 0 when asked to, with 1 when a part of it failed, with 2 for wrong settings.
    """
    from gateway import run  # noqa: PLC0415
    from gateway.store import StoreError  # noqa: PLC0415

    settings = settings_or_exit(config)
    log.set_up(settings.gateway.log_level)
    try:
        gateway = run.Gateway(settings)
    except (ConfigError, StoreError) as error:
        fail(str(error))
    raise typer.Exit(run.serve(gateway))


@broker_app.command("run")
def broker_run(config: ConfigOption = None) -> None:
    """Run the embedded broker on 127.0.0.1 until SIGTERM or Ctrl-C.

    It asks every client for user and password (setting broker.authenticate), has no topic rights
    and keeps messages in memory only: lines are signed, and bins send again what was lost.
    """
    from gateway.broker import HOST, BrokerError, EmbeddedBroker  # noqa: PLC0415
    from gateway.processes import Stopped  # noqa: PLC0415
    from gateway.site import stop_on_signals  # noqa: PLC0415
    from gateway.store import StoreError  # noqa: PLC0415

    settings = settings_or_exit(config)
    log.set_up(settings.gateway.log_level)
    stopping = stop_on_signals()
    broker = EmbeddedBroker(settings, stopping)
    try:
        broker.start()
        typer.echo(f"broker   mqtt://{HOST}:{settings.broker.port}")
        broker.run(stopping)
    except Stopped:
        return
    except (BrokerError, ConfigError, StoreError) as error:
        fail(str(error))
    finally:
        broker.stop()


def add_run(parent: typer.Typer, more: Mapping[str, type[BaseModel]]) -> None:
    """Mount `run` on the top command line, all settings listed below its help.

    `more` are the schemas of sections that belong to other programs: `[points]`.
    """
    parent.command("run", epilog=summary(more), context_settings={"obj": more})(run_all)


def run_all(
    context: typer.Context,
    config: ConfigOption = None,
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            help="Print every setting with its description and value, as a boxback.toml, and end.",
        ),
    ] = False,
) -> None:
    """Run broker, gateway and points on this machine until SIGTERM or Ctrl-C.

    Needs no set-up: every setting has a default, and what is kept goes to .boxback/ here.

    To change something write it into boxback.toml, in its section: broker, gateway, relay, points.
    A wrong name or value is told with what is allowed. A file that explains itself to begin with:
    boxback run --print-config > boxback.toml

    If one of the three ends by itself, the others are stopped and the command ends with code 1.
    """
    from gateway.broker import BrokerError  # noqa: PLC0415
    from gateway.processes import ChildError, Stopped  # noqa: PLC0415
    from gateway.site import Site, stop_on_signals  # noqa: PLC0415
    from gateway.store import StoreError  # noqa: PLC0415

    settings = settings_or_exit(config)
    if print_config:
        try:
            typer.echo(schema_toml(settings, context.obj), nl=False)
        except ValidationError as error:
            fail(f"[points]: {error}", USAGE)
        return
    log.set_up(settings.gateway.log_level)
    stopping = stop_on_signals()
    try:
        with Site(settings, config, stopping=stopping) as house:
            for name, address in house.addresses().items():
                typer.echo(f"{name:<8} {address}")
            typer.echo("Ctrl-C ends it.")
            ended = house.wait(stopping)
    except Stopped:
        return
    except (BrokerError, ChildError, ConfigError, StoreError) as error:
        fail(str(error))
    if ended is not None:
        fail(f"{ended.child.name} {ended.ending()}; the others were stopped", FAILURE)
