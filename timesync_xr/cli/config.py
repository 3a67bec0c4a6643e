"""Options of the command from a TOML file, in place of a long line.

A table for each command holds its options by their long names; what stands on the line wins::

    [extract]
    out = "project"
    mirror = ["s3://usgs-landsat-ard=/data/ard"]
    chip-size = [255, 255]

    [answers.export]
    format = "v3"
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import InputError, did_you_mean


def read_config(
    path: Path, commands: Mapping[str, Callable[[], click.Command]]
) -> dict[str, dict[str, Any]]:
    """The options of each command as click's ``default_map``: parameter names and values.

    ``commands`` gives the command of each name. `InputError` for what is no TOML, no command or no
    option of it.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    found = {}
    for name, table in tables.items():
        if name not in commands or not isinstance(table, dict):
            raise InputError(
                f"{path}: {name!r} is no command{did_you_mean(name, commands)}. Give the options "
                f"of a command below its name, such as [{next(iter(commands))}]"
            )
        found[name] = _options(path, name, table, commands[name]())
    return found


def _options(
    path: Path, name: str, table: dict[str, Any], command: click.Command
) -> dict[str, Any]:
    """The options of a command, and a table for each command that stands in it."""
    parts = command.commands if isinstance(command, click.Group) else {}
    options = {
        text.removeprefix("--"): option
        for option in command.params
        for text in option.opts
        if isinstance(option, click.Option) and text.startswith("--") and text != "--config"
    }
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key in parts and isinstance(value, dict):
            found[key] = _options(path, f"{name}.{key}", value, parts[key])
        elif key in options:
            found[options[key].name or key] = _value(path, options[key], value)
        else:
            raise InputError(
                f"{path}: [{name}] has no option {key!r}{did_you_mean(key, [*options, *parts])}. "
                f"Its options are {', '.join(options)}"
            )
    return found


def _value(path: Path, option: click.Option, value: Any) -> Any:
    """The value as click takes it: one that may be repeated as a list, others joined by commas."""
    if option.multiple:
        return value if isinstance(value, list) else [value]
    if isinstance(value, list) and option.nargs == 1:
        return ",".join(map(str, value))
    if option.nargs > 1 and not (isinstance(value, list) and len(value) == option.nargs):
        raise InputError(
            f"{path}: {option.opts[-1][2:]} = {value!r} must be a list of {option.nargs} values"
        )
    return value
