"""``timesync-xr sample``: a small archive to try things on."""

from __future__ import annotations

from pathlib import Path

import click

from ...storage.folder import disk_error
from ..help import Command
from ..main import is_quiet


@click.command(cls=Command, short_help="Write a small made-up archive to try all on.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--scenes",
    is_flag=True,
    help="Scenes in zones of UTM at three places of the Earth, instead of ARD tiles.",
)
def sample(folder: Path, scenes: bool) -> None:
    """Write a small archive of made-up scenes to FOLDER, to try things on.

    It holds COGs in the layout of the real archive, items.json and plots.csv.

    \b
    Examples:
      timesync-xr sample demo
      timesync-xr sample demo --scenes
    """
    from ...sample import make_sample

    try:
        made = make_sample(folder, scenes=scenes)
    except OSError as error:
        raise disk_error(folder, "written", error) from None
    if is_quiet():
        return
    click.echo(f"A sample archive lies in {folder}. To make a TimeSync project of it:")
    click.echo(
        f"  timesync-xr extract {folder}/plots.csv --out {folder}/project \\\n"
        f"      --source {folder}/items.json --mirror {made.mirror}"
    )
