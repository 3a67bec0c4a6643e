"""Contact sheets: the chips of a plot in one picture, a year beside the other, or as an animation.

Shown are the chips of the annual choices, as they lie in the project; nothing is read anew.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import pandas as pd

from ..cube.schema import is_whole
from ..errors import InputError, check_choice, check_kind, counted
from ..lists import texts
from ..project.files import SHEETS, chip_path, plot_path, project_path
from ..project.project import Plots, Project, as_project
from ..project.rows import NO_FILE, has_product, tell_left_out
from ..run.progress import show_progress
from ..spectral.annual import CONTRACT, TARGET_DAY
from ..storage.folder import Folder
from ..storage.places import place_of, workplace

if TYPE_CHECKING:
    from PIL.Image import Image

FORMS: Final = {"sheet": "png", "strip": "strip.png", "gif": "gif", "webp": "webp"}
"""What can be made of a plot, and the ending of its file.

sheet: years in rows of `_COLUMNS`, a composite below the other. strip: all years in one row.
gif, webp: an animation, a frame per year, the composites side by side.
"""

_COLUMNS = 10
_GAP = 4
_LABEL = 18
_MARGIN = 44
_INK, _FAINT, _PAPER, _EMPTY = "#1b1d20", "#5c6168", "#ffffff", "#e4e5e7"
_FRAME_MILLISECONDS = 500


class Shown(TypedDict, total=False):
    """What is shown of a plot, and how; as in `contact_sheet`."""

    composites: Sequence[str] | None
    """Names of composites; all of the project by default."""
    size: int
    """Edge of a chip in the picture, in pixels."""
    target_day: int
    """Day of the year that the annual choice prefers."""
    rule: str
    """What comes first in the annual choice."""


@dataclass(frozen=True, repr=False)
class Sheets:
    """What `write_sheets` made."""

    out: str
    """The folder of the files."""
    files: list[str]
    """Their names in it."""
    unfinished: list[str]
    """What the project does not hold yet, a line each."""

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{counted(len(self.files), 'file')} in {self.out}"


def contact_sheet(
    project: Project | str | Path,
    project_id: str,
    plot_id: str,
    *,
    composites: Sequence[str] | None = None,
    size: int = 96,
    columns: int = _COLUMNS,
    target_day: int = TARGET_DAY,
    rule: str = CONTRACT,
) -> Image:
    """One picture of a plot: its annual choices by year, labelled, a composite below the other.

    ``composites`` are names of those that the project has; all of them by default. ``size`` is the
    edge of a chip in the picture in pixels, ``columns`` the number of years in a row,
    ``target_day`` and ``rule`` those of `annual`, which the title tells. Years without a choice or
    a chip are grey. Returns an RGB image of Pillow, which notebooks show. `InputError` for a plot
    that the project lacks, or an unknown composite.

    Examples
    --------
    ::

        tx.contact_sheet(project, "1001", "2", composites=["tc"]).save("plot_2.png")
    """
    for name, text in (("project_id", project_id), ("plot_id", plot_id)):
        check_kind(text, str, name, "give the id as text")
    if not is_whole(columns) or columns < 1:
        raise InputError(f"{columns!r} years can't be in a row: give 1 or more")
    table = pd.DataFrame({"project_id": [project_id], "plot_id": [plot_id]})
    project = as_project(project)
    for plot in _plots(
        project, table, composites=composites, size=size, target_day=target_day, rule=rule
    ):
        return plot.sheet(columns)
    raise InputError(
        f"{project.place} has no observation of plot {plot_id} of project {project_id}: see its "
        "ledger for the plots that it holds"
    )


def write_sheets(
    project: Project | str | Path,
    out: str | Path = "",
    *,
    plots: Plots = None,
    form: str = "sheet",
    progress: bool = False,
    **shown: Unpack[Shown],
) -> Sheets:
    """Write a picture of every plot (or of those of a list) into a folder, PROJECT/sheets if empty.

    ``form`` is one of `FORMS`; ``composites``, ``size``, ``target_day`` and ``rule`` are those of
    `contact_sheet`; ``progress`` is shown on standard error. The files are
    ``prj_{project}_plot_{plot}.{png,strip.png,gif,webp}``. `InputError` for an unknown form or
    composite.

    Examples
    --------
    ::

        print(tx.write_sheets(project, "sheets", form="strip"))
    """
    check_choice(form, FORMS, "form")
    project = as_project(project)
    place = place_of(out, project.place, SHEETS)
    files = []
    found = list(_plots(project, plots, **shown))
    with workplace(place, project.s3) as work, show_progress(len(found), 0, progress) as bar:
        for plot in found:
            name = f"{project_path(plot.project_id)}_{plot_path(plot.plot_id)}.{FORMS[form]}"
            plot.save(work / name, form)
            files.append(name)
            bar.advance(len(plot.years))
            bar.plot_done(complete=True)
    return Sheets(place, files, project.unfinished)


def _plots(
    project: Project,
    plots: Plots,
    *,
    composites: Sequence[str] | None = None,
    size: int = 96,
    target_day: int = TARGET_DAY,
    rule: str = CONTRACT,
) -> Iterator[_Plot]:
    names = _composites(project, composites)
    if not is_whole(size) or not 16 <= size <= 1024:
        raise InputError(f"chips of {size!r} pixels can't be shown: choose 16 to 1024")
    years = project.annual(plots, target_day=target_day, rule=rule)
    width, height = project.settings.chip_size
    shape = size, max(1, round(size * height / width))
    key = ["project_id", "plot_id"]
    known = project.plots.set_index(key)
    made = has_product(known, "png")
    for ids, rows in years.groupby(key, sort=False):
        project_id, plot_id = (str(part) for part in ids)
        has_chips = bool(made[project_id, plot_id])
        chosen = f"annual choice by {rule}, day {target_day}"
        yield _Plot(project.folder, project_id, plot_id, rows, chosen, names, shape, has_chips)


def _composites(project: Project, names: Sequence[str] | None) -> tuple[str, ...]:
    """Composites to show; `InputError` for one that the project does not have."""
    known = tuple(composite.name for composite in project.settings.composites)
    wanted = () if names is None else tuple(texts(names))
    for name in wanted:
        check_choice(name, known, "composite")
    return wanted or known


@dataclass(frozen=True)
class _Plot:
    """A plot with what is to be shown of it."""

    folder: Folder
    """The project."""
    project_id: str
    """Its project."""
    plot_id: str
    """Its id there."""
    years: pd.DataFrame
    """Its rows of `annual`."""
    chosen: str
    """By what they were chosen, in words."""
    composites: tuple[str, ...]
    """Names of the composites to show."""
    shape: tuple[int, int]
    """Width and height of a chip in the picture."""
    has_chips: bool
    """Whether it was made with chips."""

    @property
    def title(self) -> str:
        return f"Plot {self.plot_id}, project {self.project_id}, {self.chosen}"

    def chip(self, composite: str, row: Any) -> Image:
        """The chip of a year; grey where there is none, which is told if there should be one."""
        from PIL import Image

        empty = Image.new("RGB", self.shape, _EMPTY)
        if pd.isna(row.doy):
            return empty
        path = chip_path(self.project_id, composite, self.plot_id, row.year, row.doy)
        try:
            with Image.open(io.BytesIO(self.folder.read(path))) as chip:
                return chip.convert("RGB").resize(self.shape, Image.Resampling.BOX)
        except FileNotFoundError:
            problem = NO_FILE
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow makes of damage
            problem = f"the chip is damaged ({error})"
        if self.has_chips:
            tell_left_out(self.project_id, self.plot_id, [f"{path}: {problem}"])
        return empty

    def sheet(self, columns: int) -> Image:
        """The years in rows, the composites of a year below each other, each with its date."""
        width, height = self.shape[0] + _GAP, self.shape[1] + _GAP
        columns = min(columns, len(self.years))
        block = _LABEL + len(self.composites) * height + _GAP
        across = _MARGIN + columns * width + _GAP
        title = self.title
        page = _Page.empty(
            max(across, 8 * len(title)), _LABEL + 8 + -(-len(self.years) // columns) * block
        )
        page.text(_GAP, 5, title, _INK)
        for position, row in enumerate(self.years.itertuples()):
            left, top = (
                _MARGIN + position % columns * width,
                _LABEL + 8 + position // columns * block,
            )
            page.text(left, top + 3, str(row.year), _INK)
            if width >= 80:
                page.text(left + 34, top + 3, _date(row), _FAINT)
            for line, composite in enumerate(self.composites):
                y = top + _LABEL + line * height
                page.image.paste(self.chip(composite, row), (left, y))
                if not position % columns:
                    page.text(_GAP, y + height // 2 - 8, composite, _FAINT)
        return page.image

    def frames(self) -> list[Image]:
        """A frame per year that has a choice: its date, and its composites side by side."""
        width, height = self.shape[0] + _GAP, self.shape[1] + _GAP
        shown = []
        for row in self.years[self.years["doy"].notna()].itertuples():
            page = _Page.empty(len(self.composites) * width + _GAP, height + _LABEL + _GAP)
            page.text(_GAP, 4, f"{row.year} {_date(row)}", _INK)
            for column, composite in enumerate(self.composites):
                page.image.paste(self.chip(composite, row), (_GAP + column * width, _LABEL + _GAP))
            shown.append(page.image)
        return shown

    def save(self, path: Path, form: str) -> None:
        """Write the picture in one of `FORMS`."""
        if form in {"sheet", "strip"}:
            columns = _COLUMNS if form == "sheet" else len(self.years)
            self.sheet(columns).save(path)
            return
        first, *more = self.frames() or [_Page.empty(160, 40).image]
        options: dict[str, Any] = {"quality": 90} if form == "webp" else {}
        first.save(
            path, append_images=more, save_all=True, duration=_FRAME_MILLISECONDS, loop=0, **options
        )


@dataclass(frozen=True)
class _Page:
    """A picture that text can be written on."""

    image: Image
    """The picture."""

    @classmethod
    def empty(cls, width: int, height: int) -> _Page:
        from PIL import Image

        return cls(Image.new("RGB", (width, height), _PAPER))

    def text(self, x: int, y: int, text: str, colour: str) -> None:
        from PIL import ImageDraw, ImageFont

        font = ImageFont.load_default(12)
        ImageDraw.Draw(self.image).text((x, y), text, fill=colour, font=font)


def _date(row: Any) -> str:
    if pd.isna(row.doy):
        return "none"
    day = pd.Timestamp(row.year, 1, 1) + pd.Timedelta(days=int(row.doy) - 1)
    return f"{day:%m-%d}"
