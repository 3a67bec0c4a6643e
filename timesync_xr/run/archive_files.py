"""The files of the archive that a project was made of, whole, against the checksums of their items.

A chip reads about a hundredth of a file, so a run can't compare them. Here each file is read to its
end, which may take long and, of a bucket where the requester pays, cost much: so what is to be read
is known, and told, before anything is.
"""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from ..catalog.archive import Archive, as_archive
from ..catalog.checksums import Checksum, parse_checksum
from ..catalog.files import iter_items
from ..catalog.items import asset_address
from ..catalog.kept import kept_items
from ..catalog.sources import Source, mapping
from ..errors import InputError, ReadError, counted
from ..landsat import BANDS
from ..project.log import MADE, is_in_cube
from ..project.project import Plots, Project, as_project
from ..project.rows import in_order, kept_log, tell_left_out
from ..project.verify import ARCHIVE, BROKEN, COLUMNS, REPAIR, Problem
from ..storage.access import Access, clean, is_file, scheme_of
from ..storage.objects import WHOLE_PART, read_whole
from .forecast import Prices
from .progress import has_bar

_LOG = logging.getLogger(__name__)

_READERS: Final = 4
"""Files that are read at the same time."""

_SHOWN: Final = 16
"""Digits of a checksum that are shown."""

AGAIN: Final = (
    "Replace it by a whole copy of the original; then make the observation anew by timesync-xr "
    "verify --repair --problems FILE.csv, with what --table kept, or by timesync_xr.repair"
)
FILE_COLUMNS: Final = ("item_id", "band", "address", "bytes", "checksum", "unknown")
"""Columns of `ArchiveFiles.table`."""

Observation = tuple[str, str, str]
"""Project, plot and day of an observation."""


class _Told(NamedTuple):
    """What items tell of a file."""

    href: str
    """Its address."""
    size: int | None
    """Its bytes."""
    checksum: Checksum | str
    """Its checksum, or why there is none."""


@dataclass(frozen=True, repr=False)
class ArchiveFiles:
    """The files of the archive that the observations of a project were made of.

    ::

        files = tx.archive_files("project", tx.Archive(mirror="s3://usgs-landsat-ard=/data/ard"))
        print(files)               # what would be read, and what it costs
        problems = files.verify()  # reads them

    Its text tells what `verify` reads, and of which files nothing is known.
    """

    table: pd.DataFrame
    """A row per file: ``item_id``, ``band``, ``address`` where it is read, ``bytes`` (missing where
    neither the disk nor the item tells), ``checksum`` (kind and digest, empty where there is none
    that can be compared), and ``unknown``: why there is none."""
    paid: bool
    """Whether some of them lie in a bucket where the requester pays."""
    _files: list[tuple[str, str, _Told]] = field(default_factory=list)
    _of: Mapping[str, list[Observation]] = field(default_factory=dict)
    _access: Access = field(default_factory=Access)
    _damaged: tuple[str, ...] = ()

    @property
    def to_read(self) -> pd.DataFrame:
        """The rows of the table that have a checksum, whose files `verify` reads."""
        return self.table[self.table["checksum"] != ""]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "\n".join([*self._what(), *self._unknown()])

    def _what(self) -> Iterator[str]:
        files = self.to_read
        sizes = files["bytes"].dropna()
        less = f", without {len(files) - len(sizes)} whose size is not known"
        known = _amount(int(sizes.sum())) + (less if len(sizes) < len(files) else "")
        if files.empty:
            yield "No file of the archive has a checksum that it can be compared with"
        else:
            yield f"Files of the archive to read whole: {len(files)}, {known}"
        if not self.paid:
            return
        gigabytes, parts = sizes.sum() / 1e9, int((sizes // WHOLE_PART + 1).sum())
        requests, prices = parts + len(files) - len(sizes), Prices()
        yield (
            f"{requests * prices.requests / 1000:.2f} USD for requests (requester pays), 0.00 "
            f"for transfer within us-west-2, {gigabytes * prices.transfer:.2f} to elsewhere"
        )

    def _unknown(self) -> Iterator[str]:
        """Of how many files nothing is known, and why."""
        for why, count in Counter(self.table.loc[self.table["checksum"] == "", "unknown"]).items():
            yield f"Files of which nothing is known, as they {why}: {count} of {len(self.table)}"

    def verify(self, *, progress: bool = True) -> pd.DataFrame:
        """Read the files that have a checksum, and compare.

        Returns
        -------
        pandas.DataFrame
            As of `timesync_xr.verify`, with the kind ``archive``: a row per observation that was
            made of a file that is not what its item tells, which `timesync_xr.repair` makes anew
            once the file was replaced; and a row without a plot per file that can't be read. No
            rows where all files that have a checksum are right.

        Raises
        ------
        AccessError
            Nothing can be read at all.
        """
        from tqdm.auto import tqdm

        problems = [
            Problem("", "", "", BROKEN, path, "the items are damaged", REPAIR)
            for path in self._damaged
        ]
        files = [file for file in self._files if isinstance(file[2].checksum, Checksum)]
        check = partial(_check, self._access)
        with tqdm(total=len(files), unit="file", disable=not (progress and has_bar())) as bar:
            for file, (problem, remedy, is_other) in zip(
                files, in_order(check, files, _READERS), strict=True
            ):
                if is_other:
                    seen = self._of[file[0]]
                    problems += [Problem(*of, ARCHIVE, "", problem, remedy) for of in seen]
                elif problem:
                    problems.append(Problem("", "", "", ARCHIVE, "", problem, remedy))
                bar.update()
        return pd.DataFrame(problems, columns=list(COLUMNS))


def archive_files(
    project: Project | str | Path,
    archive: Archive | None = None,
    plots: Plots = None,
) -> ArchiveFiles:
    """Find the files of the archive that a project was made of, and their checksums; reads none.

    Parameters
    ----------
    project
        A `Project`, or its folder.
    archive
        How the files are reached, as in `extract`. Checksums are those of the items that the
        project keeps of its searches (``ledger/items``); where the archive is a file of items, or
        items in memory, those of these: a list of checksums of your own can stand in that way.
    plots
        A plot list, to take its plots only.

    Returns
    -------
    ArchiveFiles
        Print it to see what it would read; its ``verify`` reads.

    Raises
    ------
    InputError, PlotListError
        The plot list is wrong, the archive is another than that of the project, or no mirror fits.
    ProjectError, AccessError
        There is no project, or it can't be read.

    Examples
    --------
    ::

        files = tx.archive_files("project", archive)
        print(files)  # what verify would read, and what it costs
        files.verify(progress=False)
    """
    project, archive = as_project(project), as_archive(archive)
    source, access = archive.what, archive.access
    if source.collection != project.settings.collection:
        raise InputError(
            f"the project was made of the collection {project.settings.collection}, and the source "
            f"{archive.name} is of {source.collection}: give the source that it was made from"
        )
    of = _observations(project, plots)
    told, damaged = _told(project, archive, {*of})
    nothing = _Told("", None, "are of items that the project does not keep; --source may name them")
    files = [(name, band, told.get((name, band), nothing)) for name in sorted(of) for band in BANDS]
    access.check_mirrors(file.href for _, _, file in files)
    rows = [_row(access, *file) for file in files]
    table = pd.DataFrame(rows, columns=list(FILE_COLUMNS)).astype({"bytes": "Int64"})
    table.loc[table["checksum"] != "", "unknown"] = ""
    is_paid = access.s3.requester_pays and any(
        scheme_of(file.href) == "s3" and address == clean(file.href)
        for (_, _, file), address in zip(files, table["address"], strict=True)
        if isinstance(file.checksum, Checksum)
    )
    return ArchiveFiles(table, bool(is_paid), files, of, access, damaged)


def _amount(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _observations(project: Project, plots: Plots) -> dict[str, list[Observation]]:
    """The observations of a project by the items that they were made of."""
    found: dict[str, list[Observation]] = defaultdict(list)
    for row in project.chosen(plots).to_dict("records"):
        ids = row["project_id"], row["plot_id"]
        log, problem = kept_log(project.folder, row)
        tell_left_out(*ids, [problem] if problem else [])
        has_cube = "zarr" in row["products"].split(",")
        made = log[log["outcome"].isin(MADE) | (is_in_cube(log) & has_cube)]
        for day, items in zip(made["day"], made["item_ids"], strict=True):
            for item in items.split():
                found[item].append((*ids, day))
    return found


def _told(
    project: Project, archive: Archive, wanted: set[str]
) -> tuple[dict[tuple[str, str], _Told], tuple[str, ...]]:
    """What items tell of the files of those that are wanted, by item and band; damaged files."""
    told: dict[tuple[str, str], _Told] = {}
    damaged = []
    for path, items in _items(project, archive):
        if items is None:
            damaged.append(path)
        for item in items or ():
            item_id = mapping(item).get("id")
            if isinstance(item_id, str) and item_id in wanted:
                for band, file in _files_of(item, archive.what):
                    before = told.setdefault((item_id, band), file)
                    if _digest(before) != _digest(file):
                        told[item_id, band] = file._replace(checksum=_DIFFERING)
    return told, tuple(damaged)


_DIFFERING: Final = "have another checksum in each of their items"


def _digest(file: _Told) -> str:
    return file.checksum if isinstance(file.checksum, str) else file.checksum.digest


def _items(project: Project, archive: Archive) -> Iterator[tuple[str, Iterable[Any] | None]]:
    """The items that are given, else those that the project keeps of its searches."""
    items = archive.items
    if archive.url or isinstance(items, pd.DataFrame):
        yield from kept_items(project.folder)
    elif isinstance(items, str | os.PathLike):
        yield "", iter_items(items)
    else:
        yield "", list(items)


def _files_of(item: Any, source: Source) -> Iterator[tuple[str, _Told]]:
    """What an item tells of its files, by band."""
    assets = mapping(source.normal(mapping(item)).get("assets"))
    for band in BANDS:
        asset = mapping(assets.get(source.assets[band]))
        size = asset.get("file:size")
        is_size = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**62
        checksum = parse_checksum(asset.get("file:checksum"))
        yield band, _Told(asset_address(asset) or "", size if is_size else None, checksum)


def _row(access: Access, item_id: str, band: str, file: _Told) -> tuple[Any, ...]:
    """A row of the table of files."""
    known = isinstance(file.checksum, Checksum)
    try:
        address = access.resolve(file.href) if file.href else ""
        size = os.path.getsize(address) if is_file(address) else file.size
    except (ReadError, OSError):
        address, size = clean(file.href), file.size
    checksum = f"{file.checksum[0]}:{_digest(file)}" if known else ""
    return item_id, band, clean(address), size, checksum, "" if known else file.checksum


def _check(access: Access, file: tuple[str, str, _Told]) -> tuple[str, str, bool]:
    """What is wrong with a file and what to do, empty where nothing is; whether it is another."""
    item_id, band, told = file
    checksum = told.checksum
    assert isinstance(checksum, Checksum)  # noqa: S101 - the others are not read
    _LOG.info("reading %s %s", item_id, band)
    try:
        address = access.resolve(told.href)
        state, size = checksum.begin(), 0
        for part in read_whole(address, access):
            state.update(part)
            size += len(part)
            if told.size is not None and size > told.size:
                break
    except ReadError as error:
        return f"{item_id} {band}: {error.asset}: {error.cause}: not compared", error.remedy, False
    found = state.hexdigest()
    if found == checksum.digest and told.size in (None, size):
        return "", "", False
    begins = found[:_SHOWN], checksum.digest[:_SHOWN]
    why = f"its {checksum.name} begins with {begins[0]}, {begins[1]} by its item"
    if told.size is not None and size > told.size:
        why = f"it has more bytes than the {told.size} that its item tells"
    elif told.size not in (None, size):
        why = f"it has {counted(size, 'byte')}, {told.size} by its item"
    return f"{item_id} {band}: {clean(address)}: {why}", AGAIN, True
