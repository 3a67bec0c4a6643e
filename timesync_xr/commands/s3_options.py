"""The options of S3, for the archive and for the output, shared by the commands that take them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from .filter_options import Command

_REGION = "us-west-2"


def s3_options(command: Command) -> Command:
    """Give a command the options of the archive's S3; it gets them as ``access``."""
    return _reading(command, "the archive", requester_pays=True)


def project_s3_options(command: Command) -> Command:
    """Give a command the options of the S3 of PROJECT, which it reads, as ``access``."""
    return _reading(command, "PROJECT", requester_pays=False)


def _reading(command: Command, what: str, *, requester_pays: bool) -> Command:
    @_option("--profile", "NAME", f"AWS profile with which {what} is read.")
    @_option("--endpoint", "URL", f"S3 service other than AWS that holds {what}.")
    @_option("--aws-region", "NAME", f"AWS region of {what}. Default: {_REGION}.")
    @click.option("--unsigned", is_flag=True, help="Read a public bucket without credentials.")
    @functools.wraps(command)
    def with_access(
        profile: str | None,
        endpoint: str | None,
        aws_region: str | None,
        unsigned: bool,
        **options: Any,
    ) -> Any:
        from ..access import Access

        access = Access(
            profile=profile,
            endpoint=endpoint,
            region=aws_region or _REGION,
            unsigned=unsigned,
            requester_pays=requester_pays,
        )
        return command(access=access, **options)

    return with_access


def out_s3_options(command: Command) -> Command:
    """Give a command the options of the output's S3; it gets them as ``out_access``."""

    @_option("--out-profile", "NAME", "AWS profile with which s3:// output is written.")
    @_option("--out-endpoint", "URL", "S3 service other than AWS for s3:// output.")
    @_option("--out-aws-region", "NAME", f"AWS region of s3:// output. Default: {_REGION}.")
    @functools.wraps(command)
    def with_access(
        out_profile: str | None,
        out_endpoint: str | None,
        out_aws_region: str | None,
        **options: Any,
    ) -> Any:
        from ..access import Access

        access = Access(
            profile=out_profile,
            endpoint=out_endpoint,
            region=out_aws_region or _REGION,
            requester_pays=False,
        )
        return command(out_access=access, **options)

    return with_access


def _option(name: str, value: str, text: str) -> Callable[[Command], Command]:
    return click.option(name, metavar=value, help=text)
