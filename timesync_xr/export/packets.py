"""Packets of plots, as they are handed to interpreters: whole plots only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import AccessError, InputError, Kind
from ..landsat import COMPOSITES
from ..plots import read_plots
from ..project.files import chip_path, spectra_path
from ..project.ledger import COLUMNS
from ..project.log import account_path, read_kept_account
from ..project.project import THREADS, Contents, open_contents, written_observations
from ..storage.access import Access, scheme_of
from ..storage.folder import OUT_ACCESS, Folder
from ..storage.places import open_folder, workplace

SIZE: Final = 250
"""Plots of a packet, if nothing else is said: about what one interpreter takes on."""

FILES: Final = ("none", "link", "copy")
"""What a packet gets of a project's files: none, hard links, or copies."""

_TAKEN = ("png", "csv")
"""Products that a packet gets; others stay in the project."""

_KEY = ["project_id", "plot_id"]


def split_packets(plots: pd.DataFrame, size: int = SIZE) -> list[pd.DataFrame]:
    """Split a table into packets of about ``size`` plots, none larger, all as even as they can be.

    ``plots`` has the columns project_id and plot_id, and a row or several of each plot (a plot
    list, or a table of observations): rows of one plot stay together. Plots keep the order in
    which they first come, rows their order. `InputError` for a size below 1.
    """
    if size < 1:
        raise InputError(f"a packet of {size} plots holds nothing: give a size of 1 or more")
    number = plots.groupby(_KEY, sort=False).ngroup().to_numpy()
    count = int(number.max()) + 1 if len(number) else 0
    packets = np.array_split(np.arange(count), -(-count // size)) if count else []
    return [plots[(number >= packet[0]) & (number <= packet[-1])] for packet in packets]


def write_packets(
    plots: str | Path,
    out: str | Path,
    size: int = SIZE,
    *,
    files: str = "none",
    region: str = "CU",
    access: Access = OUT_ACCESS,
) -> pd.DataFrame:
    """Write a plot list for each packet, and the packet's part of the project where asked.

    Parameters
    ----------
    plots
        A plot list (CSV), or a project folder or address, whose plots are then those of the
        ledger.
    out
        Folder or address for ``packet_001.csv`` and so on. A list keeps its columns and texts.
    size
        See `split_packets`.
    files
        Of a project: ``"link"`` (hard links, on one disk) or ``"copy"`` makes ``packet_001/`` and
        so on, each a project of its own with ledger and files. ``"none"`` writes lists only.
    region
        ARD grid of a plot list.
    access
        Profile, endpoint and region of S3.

    Returns
    -------
    pandas.DataFrame
        A row per packet: ``packet`` (its name), ``plots`` and ``files`` (their numbers).

    Raises
    ------
    InputError, PlotListError, ProjectError, AccessError
        For wrong arguments or lists, where there is no project, or where nothing can be written.
    """
    if files not in FILES:
        raise InputError(f"files can't be {files!r}: choose from {', '.join(FILES)}")
    if files == "link" and (scheme_of(str(plots)) or scheme_of(str(out))):
        raise InputError("a bucket has no hard links: use --files copy")
    contents = None if str(plots).endswith(".csv") else open_contents(plots, access)
    if contents is None and files != "none":
        raise InputError(f"{plots} is a list and has no files: give the project folder for them")
    table = _list_as_written(plots, region) if contents is None else contents.plots
    packets = split_packets(table, size)
    digits = max(3, len(str(len(packets))))
    names = [f"packet_{number:0{digits}d}" for number in range(1, len(packets) + 1)]
    with workplace(out, access) as work:
        for name, packet in zip(names, packets, strict=True):
            listed = packet if contents is None else packet[[*_KEY, "x", "y"]]
            (work / f"{name}.csv").write_bytes(_csv(listed))
    rows = []
    for name, packet in zip(names, packets, strict=True):
        count = 0
        if contents is not None and files != "none":
            count = _write_project(contents, packet, open_folder(f"{out}/{name}", access), files)
        rows.append((name, len(packet.drop_duplicates(_KEY)), count))
    return pd.DataFrame(rows, columns=["packet", "plots", "files"])


def _list_as_written(path: str | Path, region: str) -> pd.DataFrame:
    """The cells of a plot list as they stand, once it was found to be right."""
    read_plots(path, region)
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    table.columns = [n.strip().lower() if n.strip().lower() in _KEY else n for n in table.columns]
    is_blank = [not any(cell.strip() for cell in row) for row in table.itertuples(index=False)]
    return table[~np.array(is_blank)]


def _write_project(contents: Contents, packet: pd.DataFrame, target: Folder, files: str) -> int:
    """Make a project of a part of another; count the chips and CSVs."""
    put = partial(_link if files == "link" else _copy, contents.folder, target)
    with ThreadPoolExecutor(THREADS) as threads:
        paths = [path for row in packet.to_dict("records") for path in _paths(contents, row)]
        for _ in threads.map(put, paths):
            pass
    settings = {"region": contents.region, "chip_size": list(contents.chip_size)}
    target.write("ledger/project.json", json.dumps(settings, indent=1).encode())
    made = packet["products"].str.split(",").map(lambda all_: [p for p in all_ if p in _TAKEN])
    rows = packet[list(COLUMNS)].assign(products=made.str.join(","))
    target.write("ledger/plots.csv", _csv(rows))
    return sum(path.startswith("prj_") for path in paths)


def _paths(contents: Contents, row: dict[Any, Any]) -> Iterator[str]:
    """Files of a plot: its account, and those of every observation that was written."""
    project_id, plot_id, products = row["project_id"], row["plot_id"], row["products"].split(",")
    yield account_path(project_id, plot_id)
    for written in written_observations(read_kept_account(contents.folder, project_id, plot_id)):
        when = plot_id, written.year, written.doy
        if "png" in products:
            yield from (chip_path(project_id, composite, *when) for composite in COMPOSITES)
        if "csv" in products:
            yield spectra_path(project_id, *when)


def _copy(source: Folder, target: Folder, path: str) -> None:
    try:
        target.write(path, source.read(path))
    except FileNotFoundError:
        raise _gone(source, path) from None


def _link(source: Folder, target: Folder, path: str) -> None:
    place = Path(target.root, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(Path(source.root, path), place)
    except FileNotFoundError:
        raise _gone(source, path) from None
    except OSError as error:
        raise AccessError(
            f"{place} can't be a hard link to {source.root}: {error.strerror}. "
            "Use --files copy, or another --out on the project's disk"
        ) from error


def _gone(source: Folder, path: str) -> AccessError:
    return AccessError(
        f"{path} is missing in {source.root}. Find all that is missing with timesync-xr verify, "
        "and make it again with --repair",
        kind=Kind.MISSING,
    )


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()
