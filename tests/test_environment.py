"""environment.yml and pyproject.toml name the same packages with the same bounds."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

CONDA_NAMES = {"build": "python-build", "isal": "python-isal"}
"""Packages that conda-forge calls otherwise than Python does."""


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def requirements() -> list[str]:
    """All that pyproject.toml asks for, of its extras too."""
    extras = project()["optional-dependencies"].values()
    return [*project()["dependencies"], *(one for extra in extras for one in extra)]


def name_and_bounds(requirement: str) -> tuple[str, str]:
    """``"dask[array]>=2025.1"`` -> ``("dask", ">=2025.1")``; conda knows no extras."""
    match = re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?((?:[<>=]=?[\w.]+,?)+)", requirement)
    assert match, f"{requirement!r} is not a name with bounds"
    return match[1], match[2]


def conda_requirements() -> list[str]:
    """The entries of environment.yml, but for pip's."""
    entries = re.findall(r"^  - (\S+)$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    return [entry for entry in entries if entry not in {"conda-forge", "pip", "pip:"}]


def test_environment_equals_pyproject() -> None:
    wanted = dict(map(name_and_bounds, requirements()))
    by_conda = {CONDA_NAMES.get(name, name): bounds for name, bounds in wanted.items()}
    by_conda["python"] = project()["requires-python"]
    assert dict(map(name_and_bounds, conda_requirements())) == by_conda


def test_no_package_has_two_bounds() -> None:
    """But for a further bound of an extra: stackstac's, on pandas."""
    bounds = {*map(name_and_bounds, requirements())}
    narrowed = {("pandas", ">=2.2"), ("pandas", ">=2.2,<3")}
    assert narrowed <= bounds
    assert len(bounds) - 1 == len({name for name, _ in bounds})
    assert len(set(conda_requirements())) == len(conda_requirements())


@pytest.mark.parametrize("requirement", ["numpy", "numpy >=2", "numpy>=2; python_version>'3'"])
def test_requirement_without_plain_bounds_is_noticed(requirement: str) -> None:
    with pytest.raises(AssertionError, match="not a name with bounds"):
        name_and_bounds(requirement)


def imported_packages(module: Path) -> set[str]:
    """Top-level names that a module imports, anywhere in it, from outside this package."""
    nodes = list(ast.walk(ast.parse(module.read_text())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named = [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level]
    return {name.partition(".")[0] for name in [*plain, *named]} - sys.stdlib_module_names


@pytest.mark.deep
def test_every_import_is_declared() -> None:
    # what stands in brackets counts too: dask brings distributed by its extra of that name
    declared = set(re.findall(r"[a-z][\w-]*", " ".join(requirements())))
    providers = packages_distributions()
    undeclared = {
        f"{module.name}: {name}"
        for module in (ROOT / "timesync_xr").rglob("*.py")
        for name in imported_packages(module)
        if declared.isdisjoint(d.lower().replace("_", "-") for d in providers.get(name, [name]))
    }
    assert undeclared == set()
