"""What users may rely on: the names of the package, and the parameters of what runs it."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

import timesync_xr as tx

NAMES = [
    "AnnualComposites",
    "Archive",
    "ArchiveFiles",
    "ChipsPerYear",
    "BANDS",
    "COMPOSITES",
    "Combined",
    "Comparison",
    "Composite",
    "Exported",
    "Forecast",
    "Plot",
    "Prices",
    "Products",
    "Project",
    "S3",
    "SR_BANDS",
    "Selection",
    "Sheets",
    "Site",
    "Styles",
    "Summary",
    "TimesyncError",
    "annual",
    "annual_composite",
    "archive_files",
    "browse",
    "chip_outlines",
    "chips_for_plot",
    "choose_platforms",
    "combine",
    "compare_sources",
    "composite_rgb",
    "contact_sheet",
    "contract_qa",
    "export_project",
    "export_rasters",
    "extract",
    "fmask",
    "has_bit",
    "index_table",
    "indices",
    "is_clear",
    "is_fill",
    "is_outlier",
    "is_valid",
    "make_sample",
    "merge_records",
    "observation_density",
    "parse_datetime",
    "plan",
    "plot_before_after",
    "plot_chips",
    "plot_density",
    "plot_offsets",
    "plot_pixel",
    "plot_trajectory",
    "qa_flags",
    "qa_grade",
    "read_items",
    "read_offsets",
    "read_overrides",
    "read_plots",
    "read_styles",
    "reflectance",
    "render",
    "repair",
    "search_items",
    "selected_of_year",
    "sensor_offsets",
    "spectral_table",
    "split_packets",
    "stack_plots",
    "stretch",
    "tasseled_cap",
    "to_collection1",
    "v3_records",
    "verify",
    "window_statistics",
    "with_adjusted",
    "write_annual_composites",
    "write_csv",
    "write_geotiff",
    "write_items",
    "write_packets",
    "write_png",
    "write_sheets",
    "write_world_file",
]

PARAMETERS: dict[Callable[..., Any], str] = {
    tx.extract: "plots project archive select products workers refresh progress",
    tx.plan: "plots archive select products project",
    tx.repair: "project problems archive plots workers progress",
    tx.render: "project out formats composites stretch styles prune progress",
    tx.verify: "project plots quick",
    tx.archive_files: "project archive plots",
    tx.combine: "project server_project out",
    tx.chips_for_plot: "plot archive grid datetime chip_size chunks errors engine",
    tx.search_items: "tiles archive grid datetime",
    tx.Archive: "items source mirror s3 fallback",
    tx.compare_sources: "plots select products sources",
    tx.Selection: "datetime season sensors max_cloud slc_off clear_only tiers prune",
    tx.ChipsPerYear: "count rule target_day overrides all_rows",
    tx.Products: "formats grid chip_size composites chips_per_year",
    tx.Project: "place s3",
}


def test_the_public_names_are_these() -> None:
    assert sorted(tx.__all__) == sorted(NAMES)
    assert all(hasattr(tx, name) for name in NAMES)
    rooms = {module.name for module in pkgutil.iter_modules(tx.__path__)}
    public = {name for name in vars(tx) if not name.startswith("_")}
    assert public - rooms - {"annotations", "version"} == set(NAMES)


@pytest.mark.parametrize("function", PARAMETERS, ids=lambda function: function.__name__)
def test_parameters_are_these(function: Callable[..., Any]) -> None:
    assert list(inspect.signature(function).parameters) == PARAMETERS[function].split()


@pytest.mark.parametrize("name", NAMES)
def test_no_public_function_has_more_than_eight_parameters(name: str) -> None:
    value = getattr(tx, name)
    if callable(value) and value.__module__.startswith("timesync_xr"):
        assert value.__doc__
        assert len(inspect.signature(value).parameters) <= 8
