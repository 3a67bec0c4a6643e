"""How commands tell their options, in groups, and meet words that they do not know."""

from __future__ import annotations

from typing import Any, Final

import click

from ..errors import did_you_mean

_RARER: Final = {
    "Which observations": (
        "season", "sensors", "max_cloud", "no_slc_off", "tiers", "clear_only",
    ),
    "Which observation of a year": ("target_day", "overrides", "rule"),
    "Grid and chips": ("grid", "chip_size"),
    "A project that is there already": ("refresh", "prune"),
    "How the archive is reached": ("fallback", "profile", "endpoint", "aws_region", "unsigned"),
    "Output in a bucket": ("out_profile", "out_endpoint", "out_aws_region"),
    "On a cluster": ("scheduler", "scheduler_file"),
    "Of every command": ("quiet", "verbose", "config", "debug", "version", "help"),
}  # fmt: skip
"""Options that fewer people need, by the group in which the help tells them. Others come first."""

_GROUP_OF: Final = {name: group for group, names in _RARER.items() for name in names}


def _with_option(ctx: click.Context, name: str) -> list[str]:
    """The commands of the program that have an option of this name."""
    program = ctx.find_root()
    group = program.command
    if not isinstance(group, click.Group):
        return []
    found = ((word, group.get_command(program, word)) for word in group.list_commands(program))
    return [w for w, made in found if made and any(name in param.opts for param in made.params)]


class Command(click.Command):
    """A command whose help has its options in groups, those first that most people need."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words of a line; an option of another command is met by its name."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if others := _with_option(ctx, error.option_name):
                told = f"{self.name} has no option {error.option_name}: {', '.join(others)} "
                raise click.UsageError(
                    f"{told}{'have' if others[1:] else 'has'} it.", ctx
                ) from None
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": [], **{g: [] for g in _RARER}}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if isinstance(option, click.Option) and record is not None:
                name = option.opts[-1].removeprefix("--").replace("-", "_")
                group = _GROUP_OF.get(str(option.name)) or _GROUP_OF.get(name, "Options")
                groups[group].append(record)
        for group, records in groups.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


class Group(click.Group):
    """Commands; a misspelt one is met by the nearest."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for."""
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            near = did_you_mean(args[0], names) or f": choose from {', '.join(names)}"
            ctx.fail(f"There is no command {args[0]!r}{near}.")
        return super().resolve_command(ctx, args)


class Choice(click.Choice[str]):
    """One of some words; the error for any other tells which there are, and which may be meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word, or an error of usage."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            words = tuple(map(str, self.choices))
            text = f"there is no {value!r}{did_you_mean(value, words)}: choose from "
            raise click.BadParameter(text + ", ".join(words), ctx, param) from None
