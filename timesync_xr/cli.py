"""The command ``timesync-xr``: which commands there are, and how errors become exit codes."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from . import __version__
from .errors import InputError, TimesyncError

COMPLETE, INCOMPLETE, USAGE, STOPPED = 0, 1, 2, 130
"""Exit codes: all is well, something is missing or failed, wrong usage or input, Ctrl-C."""

COMMANDS: Final = ("extract", "sample")
"""Names of the commands, each a function in the module of its name in `timesync_xr.commands`."""


class _Program(click.Group):
    """The command group: imports a command when it is used, turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(
            import_module(f".commands.{cmd_name}", __package__), cmd_name
        )
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of ours is one message and an exit code, no traceback."""
        try:
            return super().invoke(ctx)
        except TimesyncError as error:
            click.echo(f"timesync-xr: {error}", err=True)
            ctx.exit(USAGE if isinstance(error, InputError) else INCOMPLETE)
        except KeyboardInterrupt:
            click.echo(
                "\ntimesync-xr: stopped. What is done is kept: run the same command to go on.",
                err=True,
            )
            ctx.exit(STOPPED)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="timesync-xr")
def main() -> None:
    """Turn Landsat archives into what TimeSync needs.

    \b
    Try it:
      timesync-xr sample demo
      timesync-xr extract demo/plots.csv --out demo/project \\
          --source demo/items.json --mirror s3://usgs-landsat-ard=demo
    """
