"""Landsat archives to what TimeSync needs: chips, spectra and tables of reference plots."""

from importlib.metadata import version

from .catalog.archive import Archive
from .catalog.dates import parse_datetime
from .catalog.files import read_items, write_items
from .catalog.search import search_items
from .cube.chips import chips_for_plot
from .cube.plan import merge_records
from .cube.selection import Selection
from .cube.stack import stack_plots
from .errors import TimesyncError
from .export.annual_composites import AnnualComposites, write_annual_composites
from .export.formats import Exported, export_project
from .export.maps import chip_outlines
from .export.packets import split_packets, write_packets
from .export.rasters import export_rasters, write_geotiff, write_world_file
from .export.server import Combined, combine
from .export.v3 import v3_records
from .landsat import BANDS, SR_BANDS
from .plots import Plot, read_plots
from .project.files import write_csv, write_png
from .project.products import ChipsPerYear, Products
from .project.project import Project
from .project.verify import verify
from .run.archive_files import ArchiveFiles, archive_files
from .run.chips import choose_platforms
from .run.comparison import Comparison, compare_sources
from .run.extract import extract
from .run.forecast import Forecast, Prices, plan
from .run.render import render
from .run.repair import repair
from .run.summary import Summary
from .sample import make_sample
from .spectral import indices
from .spectral.annual import annual, read_overrides, selected_of_year
from .spectral.annual_composite import annual_composite
from .spectral.composites import COMPOSITES, Composite, composite_rgb, stretch
from .spectral.density import observation_density
from .spectral.offsets import read_offsets, sensor_offsets, with_adjusted
from .spectral.outliers import is_outlier
from .spectral.quality import (
    contract_qa,
    fmask,
    has_bit,
    is_clear,
    is_fill,
    is_valid,
    qa_flags,
    qa_grade,
)
from .spectral.reflectance import reflectance, to_collection1
from .spectral.series import index_table, plot_pixel, spectral_table, window_statistics
from .spectral.styles import Styles, read_styles
from .spectral.tasseled_cap import tasseled_cap
from .storage.access import S3
from .view.plotting import (
    plot_before_after,
    plot_chips,
    plot_density,
    plot_offsets,
    plot_trajectory,
)
from .view.sheet import Sheets, contact_sheet, write_sheets
from .view.site import Site, browse

__version__ = version("timesync_xr")

__all__ = [
    "BANDS",
    "COMPOSITES",
    "S3",
    "SR_BANDS",
    "AnnualComposites",
    "Archive",
    "ArchiveFiles",
    "ChipsPerYear",
    "Combined",
    "Comparison",
    "Composite",
    "Exported",
    "Forecast",
    "Plot",
    "Prices",
    "Products",
    "Project",
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
