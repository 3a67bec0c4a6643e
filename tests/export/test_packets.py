"""Packets: every plot once, whole, in order, and none too many."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr import Project, combine, split_packets, verify, write_packets
from timesync_xr.cli.commands.packets import packets
from timesync_xr.cli.main import main
from timesync_xr.errors import AccessError, InputError, PlotListError
from timesync_xr.export.packets import SIZE

KEY = ["project_id", "plot_id"]
LIST = """\ufeffPlot_ID,x,y,project_id,Strata
007,-2061000,1920000,1211,"forest, old"
8,-2061030.0,1920000,1211,

,,,,
9,-2.06106e6,1920000,1211,shrub
7,-2061000,1920000,1212,NA
10,-2061090,1920000,1211,water
"""


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9))), st.integers(1, 7))
def test_plots_stay_whole_and_in_order(keys: list[tuple[str, int]], size: int) -> None:
    table = pd.DataFrame(keys, columns=KEY, index=range(5, 5 + len(keys)))
    packets = split_packets(table, size)
    counts = [len(packet.drop_duplicates(KEY)) for packet in packets]
    assert max(counts, default=0) <= size
    assert max(counts, default=0) - min(counts, default=0) <= 1
    assert len(packets) == -(-len(set(keys)) // size)
    assert sorted(row for packet in packets for row in packet.index) == table.index.tolist()
    assert all(packet.index.is_monotonic_increasing for packet in packets)
    plots = [
        key for packet in packets for key in packet.drop_duplicates(KEY).itertuples(index=False)
    ]
    assert [tuple(plot) for plot in plots] == list(dict.fromkeys(keys))


def test_sizes_worked_by_hand() -> None:
    plots = pd.DataFrame({"project_id": "1", "plot_id": range(260)})
    assert [len(packet) for packet in split_packets(plots)] == [130, 130]
    assert [len(packet) for packet in split_packets(plots.head(250))] == [250]
    with pytest.raises(InputError, match=r"a packet can.t hold 0 plots"):
        split_packets(plots, 0)


def test_a_list_keeps_its_columns_and_texts(tmp_path: Path) -> None:
    (tmp_path / "plots.csv").write_text(LIST, encoding="utf-8")
    table = write_packets(tmp_path / "plots.csv", tmp_path / "out", 3)
    assert table.to_dict("list") == {
        "packet": ["packet_001", "packet_002"],
        "plots": [3, 2],
        "files": [0, 0],
    }
    assert (tmp_path / "out/packet_001.csv").read_text() == (
        "plot_id,x,y,project_id,Strata\n"
        '007,-2061000,1920000,1211,"forest, old"\n'
        "8,-2061030.0,1920000,1211,\n"
        "9,-2.06106e6,1920000,1211,shrub\n"
    )
    assert (tmp_path / "out/packet_002.csv").read_text() == (
        "plot_id,x,y,project_id,Strata\n"
        "7,-2061000,1920000,1212,NA\n"
        "10,-2061090,1920000,1211,water\n"
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "packet_001.csv",
        "packet_002.csv",
    }


@pytest.mark.parametrize("name", ["10lines_PlotList.csv", "lcnext_srs5000_final.csv"])
def test_real_lists_are_split_without_loss(shared: Path, tmp_path: Path, name: str) -> None:
    path = shared / "real/timesync_plot_lists" / name
    table = write_packets(path, tmp_path)
    lines = path.read_text(encoding="utf-8-sig").split()
    packets = [(tmp_path / f"{name}.csv").read_text().split() for name in table["packet"]]
    assert [line for packet in packets for line in packet[1:]] == lines[1:]
    assert table["plots"].max() <= 250


@pytest.mark.parametrize("files", ["link", "copy"])
@pytest.mark.deep
def test_a_packet_of_a_project_is_a_project(
    golden_projects: dict[str, Path], tmp_path: Path, files: str
) -> None:
    project = Path(shutil.copytree(golden_projects["mosaic"], tmp_path / "project"))
    table = write_packets(project, tmp_path / "out", 4, files=files)
    assert table["plots"].tolist() == [3, 3]
    made: dict[Path, Path] = {}
    for name in table["packet"]:
        packet = tmp_path / "out" / name
        listed = packet.with_suffix(".csv")
        assert verify(packet, listed).empty
        assert combine(packet, out=tmp_path / "combined").complete
        ids = pd.read_csv(listed, dtype=str)["plot_id"].tolist()
        assert Project(str(packet)).plots["plot_id"].tolist() == ids
        made |= {p.relative_to(packet): p for p in packet.glob("prj_*/**/*") if p.is_file()}
    whole = {p.relative_to(project): p for p in project.glob("prj_*/**/*") if p.is_file()}
    assert made.keys() == whole.keys()
    assert table["files"].sum() == len(whole)
    for name, path in whole.items():
        assert made[name].samefile(path) == (files == "link")
        assert made[name].read_bytes() == path.read_bytes()


def test_lists_of_a_project_come_from_its_ledger(
    golden_projects: dict[str, Path], tmp_path: Path
) -> None:
    write_packets(golden_projects["real"], tmp_path, 3)
    assert (tmp_path / "packet_001.csv").read_text() == (
        "project_id,plot_id,x,y\n1211,1,-2060070.0,1921290.0\n1211,2,-2061120.0,1920390.0\n"
    )
    assert not (tmp_path / "packet_001").exists()


def test_what_is_wrong_is_told(golden_projects: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "plots.csv"
    path.write_text("project_id,plot_id,x,y\n1,7,0,1500000\n1,7,0,1500000\n")
    with pytest.raises(PlotListError, match="already on line 2"):
        write_packets(path, tmp_path / "out")
    with pytest.raises(InputError, match="give the project folder"):
        write_packets(path, tmp_path / "out", files="copy")
    with pytest.raises(InputError, match="'move': choose from none, link, copy"):
        write_packets(path, tmp_path / "out", files="move")
    with pytest.raises(InputError, match="no hard links"):
        write_packets("s3://bucket/project", tmp_path / "out", files="link")
    project = Path(shutil.copytree(golden_projects["real"], tmp_path / "project"))
    next(project.rglob("*.png")).unlink()
    for files in ("link", "copy"):
        with pytest.raises(AccessError, match=r"\.png is missing in .*--repair"):
            write_packets(project, tmp_path / "out", files=files)


def test_command(tmp_path: Path) -> None:
    (tmp_path / "plots.csv").write_text(LIST, encoding="utf-8")
    arguments = ["packets", str(tmp_path / "plots.csv"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, "--size", "3"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "packet_001: 3 plots",
        "packet_002: 2 plots",
        f"2 packets: {tmp_path / 'out'}",
    ]
    assert CliRunner().invoke(main, [*arguments, "--size", "0"]).exit_code == 2


def test_the_command_has_the_size_of_the_function() -> None:
    """It stands there once more, so that help need not import what writes packets."""
    size = next(option for option in packets.params if option.name == "size")
    assert size.default == SIZE


def test_duplicates_are_balanced_blind_and_seeded(tmp_path: Path) -> None:
    count = 103
    plots = tmp_path / "plots.csv"
    lines = [f"1,{n},{-1000000 + 3000 * n},1500000" for n in range(count)]
    plots.write_text("\n".join(["project_id,plot_id,x,y", *lines]) + "\n")
    table = write_packets(plots, tmp_path / "a", 30, duplicates=0.2)
    write_packets(plots, tmp_path / "b", 30, duplicates=0.2)
    write_packets(plots, tmp_path / "c", 30, duplicates=0.2, seed=2)
    plain = write_packets(plots, tmp_path / "d", 30)
    assert (table["plots"] - plain["plots"]).tolist() == [5] * 4  # a fifth of 25
    key = pd.read_csv(tmp_path / "a/duplicates.csv")
    assert (key["packet"] != key["also_in"]).all()
    assert key["packet"].value_counts().tolist() == [5] * 4
    assert key["also_in"].value_counts().tolist() == [5] * 4
    assert key["plot_id"].is_unique
    for plot, *names in key[["plot_id", "packet", "also_in"]].to_numpy().tolist():
        for name in names:
            packet = pd.read_csv(tmp_path / f"a/{name}.csv")
            assert (packet["plot_id"] == plot).sum() == 1
            assert packet["plot_id"].is_monotonic_increasing
            assert packet.columns.tolist() == ["project_id", "plot_id", "x", "y"]
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    same = [(tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in files]
    assert all(same)
    assert (tmp_path / "a/duplicates.csv").read_bytes() != (
        tmp_path / "c/duplicates.csv"
    ).read_bytes()
    assert not (tmp_path / "d/duplicates.csv").exists()


def test_duplicates_need_two_packets(tmp_path: Path) -> None:
    plots = tmp_path / "plots.csv"
    plots.write_text("project_id,plot_id,x,y\n1,1,-1000000,1500000\n")
    with pytest.raises(InputError, match="no other to share"):
        write_packets(plots, tmp_path / "a", duplicates=0.5)
    with pytest.raises(InputError, match="give 0 to 1"):
        write_packets(plots, tmp_path / "a", duplicates=10)


def test_a_table_of_plots_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plots is of DataFrame, .* give a plot list, or"):
        write_packets(pd.DataFrame({"plot_id": ["1"]}), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'links' \(did you mean 'link'\?\)"):
        write_packets(tmp_path / "plots.csv", tmp_path, files="links")
