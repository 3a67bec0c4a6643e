"""What `verify` found missing or broken is made again, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..cube.selection import Filters
from ..errors import ProjectError
from ..landsat import COMPOSITES
from ..plots import Plot, read_plots
from ..project.cubes import MARK
from ..project.files import chip_path, spectra_path
from ..project.ledger import Ledger
from ..project.project import Contents, open_contents
from ..project.verify import STRAY
from ..storage.access import Access, Mirrors
from ..storage.folder import OUT_ACCESS, Folder
from .extract import extract
from .summary import Summary

_PLOT = ["project_id", "plot_id"]
_MADE_WITH = ["datetime", "products", "filters"]


def repair(
    project: str | Path,
    problems: pd.DataFrame,
    plots: str | Path | pd.DataFrame | None = None,
    *,
    source: str = "landsatlook",
    mirror: Mirrors = (),
    workers: int = 1,
    progress: bool = True,
    access: Access | None = None,
    out_access: Access = OUT_ACCESS,
) -> list[Summary]:
    """Make again what a table of `verify` names, by the settings that each plot was made with.

    All files of a broken day are removed and the plots in question marked as incomplete; `extract`
    then makes what they lack. Other days and plots stay as they are. What should not be there
    (kind stray) is left alone: that is for you to judge.

    Parameters
    ----------
    project
        A project folder, or an address like ``s3://bucket/prefix``.
    problems
        What `verify` returned, or some of its rows.
    plots
        The list that was given to `verify`; its plots that are not in the ledger are made as most
        plots of the project were.
    source, mirror, workers, progress, access, out_access
        As in `extract`.

    Returns
    -------
    list of Summary
        What `extract` did: one for each combination of settings. Verify again to know that all is
        well now.

    Raises
    ------
    ProjectError
        There is no project, or it was made by `render`, or a run is at work on it.
    InputError, CatalogError, AccessError
        As in `extract`; what was removed is made by the next run.
    """
    contents = open_contents(project, out_access)
    if contents.rendered:
        raise ProjectError(
            f"{project} was made of cubes: make it again by timesync-xr render, with another --out"
        )
    wanted = problems[problems["kind"] != STRAY]
    chosen = contents.plots.merge(wanted[_PLOT].drop_duplicates(), on=_PLOT)
    _take_out(contents.folder, chosen, wanted)
    tables = pd.concat([chosen, _new(contents, plots, wanted)]).groupby(_MADE_WITH)
    summaries = []
    for made_with, table in tables:
        datetime, products, filters = map(str, made_with)
        summary = extract(
            table.assign(offset=0.0),
            project,
            source=source,
            mirror=mirror,
            region=contents.region,
            datetime=datetime,
            chip_size=contents.chip_size,
            products=products.split(","),
            filters=filters_of(filters),
            workers=workers,
            progress=progress,
            access=access,
            out_access=out_access,
        )
        summaries.append(summary)
    return summaries


def _take_out(folder: Folder, chosen: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Remove the files of broken days and broken cubes; then mark their plots."""
    with folder.lock():
        days = wanted.loc[wanted["day"] != "", [*_PLOT, "day"]].drop_duplicates()
        for project_id, plot_id, day in days.itertuples(index=False):
            when = plot_id, pd.Timestamp(day).year, pd.Timestamp(day).day_of_year
            for composite in COMPOSITES:
                folder.remove(chip_path(project_id, composite, *when))
            folder.remove(spectra_path(project_id, *when))
        for file in wanted.loc[wanted["file"].str.endswith(".zarr"), "file"]:
            folder.remove_tree(file, MARK)
        ledger = Ledger(folder)
        ledger.reopen(Plot(*row) for row in chosen[[*_PLOT, "x", "y"]].itertuples(index=False))


def _new(
    contents: Contents, plots: str | Path | pd.DataFrame | None, wanted: pd.DataFrame
) -> pd.DataFrame:
    """Plots of the list that the ledger does not know, with what most plots were made with."""
    if plots is None:
        return contents.plots.head(0)
    table = plots if isinstance(plots, pd.DataFrame) else read_plots(plots, contents.region)
    new = table.merge(wanted[_PLOT].drop_duplicates(), on=_PLOT)
    known = pd.MultiIndex.from_frame(contents.plots[_PLOT])
    new = new[~pd.MultiIndex.from_frame(new[_PLOT]).isin(known)]
    usual = contents.plots[_MADE_WITH].value_counts()
    made_with = usual.index[0] if len(usual) else ("1982-01-01/..", "png,csv", "")
    return new[[*_PLOT, "x", "y"]].assign(**dict(zip(_MADE_WITH, made_with, strict=True)))


def filters_of(text: str) -> Filters:
    """The filters that a text stands for, as the ledger keeps it: ``str(filters)``."""
    words = dict(word.partition("=")[::2] for word in text.split())
    return Filters(
        season=words.get("season", ""),
        sensors=tuple(words["sensors"].split(",")) if "sensors" in words else (),
        max_cloud=float(words["max-cloud"]) if "max-cloud" in words else None,
        slc_off="no-slc-off" not in words,
        clear_only="clear-only" in words,
    )
