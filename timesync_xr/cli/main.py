"""The command ``timesync-xr``: which commands there are, and how errors become exit codes."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from .. import __version__
from ..errors import InputError, TimesyncError, hearing_left_out
from ..storage.waiting import listening
from .config import read_config
from .help import Group
from .outputs import DeadPipe, open_outputs

COMPLETE, INCOMPLETE, USAGE, STOPPED = 0, 1, 2, 130
"""Exit codes: all is well, something is missing or failed, wrong usage or input, Ctrl-C."""

_SHOWN: Final = 10
"""How many things that were left out are told."""

GROUPS: Final = {
    "Make": ("plan", "extract", "render"),
    "Check": ("verify", "observations", "density", "offsets"),
    "Choose": ("annual", "window", "composite"),
    "Hand on": ("combine", "export", "packets"),
    "Look": ("browse", "sheet", "interpret", "answers"),
    "Try": ("sample",),
}
"""Names of the commands, by what they are for."""

COMMANDS: Final = tuple(name for names in GROUPS.values() for name in names)
"""Names of the commands, each a function in its module of `timesync_xr.cli.commands`."""


def _flag(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Keep a flag for the whole program, wherever on the line it stands."""
    if value:
        ctx.meta[f"timesync_xr.{param.name}"] = True


def _tell_more(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        for name in ("timesync_xr", "urllib3"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        for handler in logging.getLogger().handlers:
            handler.addFilter(_without_queries)


def _without_queries(record: logging.LogRecord) -> bool:
    """Take users, passwords and query strings out of what libraries log: they may be secret."""
    text = re.sub(r"(://)[^/?#\s]*@", r"\1", record.getMessage())
    record.msg, record.args = re.sub(r"\?[^\s\"']+", "?", text), None
    return True


def _take_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Options of a command from a file that is named after it."""
    if value is not None:
        options: dict[str, Any] = read_config(value, _COMMANDS)
        for name in _words(ctx):
            options = options.get(name, {})
        ctx.default_map = options


def _words(ctx: click.Context) -> list[str]:
    """The words of a command after the program's: one, or two where a command has some in it."""
    return [*_words(ctx.parent), str(ctx.info_name)] if ctx.parent else []


def _general_options(config: Callable[..., None] | None) -> list[click.Option]:
    """The options that every command has, too; ``config`` takes the file when it is parsed."""
    options: dict[str, Any] = {"is_flag": True, "expose_value": False}
    return [
        click.Option(
            ["-q", "--quiet"],
            callback=_flag,
            help="No progress; tell only what is wrong.",
            **options,
        ),
        click.Option(
            ["-v", "--verbose"],
            callback=_tell_more,
            help="Also tell each plot and request, and what libraries log.",
            **options,
        ),
        click.Option(
            ["--config"],
            metavar="FILE.toml",
            type=click.Path(dir_okay=False, exists=True, path_type=Path),
            callback=config,
            expose_value=config is None,
            is_eager=True,
            help="Take options from a file: a table for each command. What stands on the line "
            "wins.",
        ),
        click.Option(["--debug"], callback=_flag, help="Show the traceback of errors.", **options),
    ]


@cache
def _command(name: str) -> click.Command:
    command: click.Command = getattr(import_module(f"timesync_xr.cli.commands.{name}"), name)
    parts = command.commands.values() if isinstance(command, click.Group) else ()
    for each in (command, *parts):
        each.params += _general_options(_take_config)
    return command


_COMMANDS: Final = {name: partial(_command, name) for name in COMMANDS}


class _Program(Group):
    """The command group: imports a command when it is used, turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        return _command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in groups."""
        for group, names in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(
                    [(f"{name:<12}", _command(name).get_short_help_str(80)) for name in names]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error is one message and an exit code, without a traceback."""
        try:
            with _telling_left_out(), _unless_quiet(ctx):
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException, DeadPipe):
            raise
        except TimesyncError as error:
            _complain(ctx, str(error))
            ctx.exit(USAGE if isinstance(error, InputError) else INCOMPLETE)
        except OSError as error:
            _complain(ctx, f"{error.filename or 'a file'}: {error.strerror or error}")
            ctx.exit(INCOMPLETE)
        except Exception as error:  # noqa: BLE001 - told with the way to its traceback
            kind = type(error).__name__
            _complain(ctx, f"unexpected {kind}: {error}. Report what --debug shows of it")
            ctx.exit(INCOMPLETE)
        except KeyboardInterrupt:
            click.echo(f"\ntimesync-xr: {_STOPPED}", err=True)
            ctx.exit(STOPPED)


@contextmanager
def _unless_quiet(ctx: click.Context) -> Iterator[None]:
    """Tell of services that are waited for where any progress is wanted."""

    def tell(text: str, is_news: bool) -> None:
        if is_news and "timesync_xr.quiet" not in ctx.meta:
            click.echo(text, err=True)

    with listening(tell):
        yield


@contextmanager
def _telling_left_out() -> Iterator[None]:
    """Tell what a result lacks that the ledger says is written; the exit code is then 1."""
    told = 0

    def tell(text: str) -> None:
        nonlocal told
        told += 1
        if told <= _SHOWN:
            click.echo(text, err=True)

    with hearing_left_out(tell):
        try:
            yield
        except SystemExit as end:
            if end.code or not told:
                raise
    if told > _SHOWN:
        click.echo(f"and {told - _SHOWN} more were left out", err=True)
    if told:
        sys.exit(INCOMPLETE)


def _complain(ctx: click.Context, text: str) -> None:
    """Say what went wrong; the traceback of the error comes first where it is asked for."""
    if "timesync_xr.debug" in ctx.meta:
        traceback.print_exc()
    click.echo(f"{click.style('timesync-xr:', fg='red')} {text}", err=True)


def is_quiet() -> bool:
    """Whether the user wants to hear of trouble only."""
    return "timesync_xr.quiet" in click.get_current_context().meta


@click.group(
    cls=_Program,
    params=_general_options(None),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="timesync-xr")
@click.pass_context
def main(ctx: click.Context, /, config: Path | None) -> None:
    """Turn Landsat archives into what TimeSync needs.

    \b
    Try it:
      timesync-xr sample demo
      timesync-xr extract demo/plots.csv --out demo/project \\
          --source demo/items.json --mirror s3://usgs-landsat-ard=demo
      timesync-xr browse demo/project

    \b
    Options that come back from day to day can stand in a file:
      timesync-xr --config timesync.toml extract plots.csv
    """
    if os.environ.get("NO_COLOR"):  # empty is as if it were not set: no-color.org
        ctx.color = False
    if config is not None:
        ctx.default_map = read_config(config, _COMMANDS)


def run() -> NoReturn:
    """The program: runs a command and ends the process with its exit code, at once.

    The interpreter's own end would wait for the requests that are still under way, for minutes
    where a server is silent, and can crash in the threads of obstore.
    """
    outputs = open_outputs()
    _watch_interrupts()
    code = COMPLETE
    try:
        main(prog_name="timesync-xr")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else INCOMPLETE
    except DeadPipe:
        pass
    with suppress(DeadPipe):
        sys.stdout.flush()
        failure = outputs[0].failure
        if failure and code == COMPLETE:
            _say(f"standard output can't be written to: {failure.strerror}")
        sys.stderr.flush()
    if any(isinstance(output.failure, BrokenPipeError) for output in outputs) and _HAS_PIPE_SIGNAL:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(code)


_HAS_PIPE_SIGNAL: Final = hasattr(signal, "SIGPIPE")
"""Whether programs end by a signal where nobody reads what they write; not so on Windows."""

_TIDYING: Final = 10.0
"""Seconds that a command may take to end after Ctrl-C."""

_STOPPED: Final = "stopped. What is done is kept: run the same command to go on."


def _watch_interrupts() -> None:
    """End after a second Ctrl-C at once, and after the first one soon, whatever is waited for.

    Python raises `KeyboardInterrupt` only between its own steps, so that a request to a server that
    is silent would have to end first. A thread hears of signals at any moment.
    """
    here, there = socket.socketpair()
    there.setblocking(False)
    signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        count, _keep = 0, there
        while count < 2:
            here.settimeout(_TIDYING if count else None)
            try:
                count += here.recv(64).count(signal.SIGINT)
            except TimeoutError:
                break
        _say(_STOPPED, before="\n")
        os._exit(STOPPED)

    threading.Thread(target=watch, name="timesync_xr interrupts", daemon=True).start()


def _say(text: str, before: str = "") -> None:
    """Write to standard error as it is, whatever state the program is in."""
    with suppress(OSError):
        os.write(2, f"{before}timesync-xr: {text}\n".encode())
