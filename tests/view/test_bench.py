"""A whole interpretation in a real browser: served and from disk, by keys and by mouse."""

from __future__ import annotations

import base64
import json
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.interpret.making import whole
from timesync_xr import Project
from timesync_xr.interpret.answers import Interpretation
from timesync_xr.interpret.exchange import merge_answers
from timesync_xr.interpret.legend import read_legend
from timesync_xr.interpret.serve import Desk
from timesync_xr.interpret.store import Store
from timesync_xr.view.site import browse

pytestmark = pytest.mark.services
selenium = pytest.importorskip("selenium", reason="needs the test extra")

from selenium.webdriver import Chrome, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from tests.view.test_pages import chrome, console, press, texts, wait_for  # noqa: E402

__all__ = ["chrome"]
WAIT = 90
"""Seconds for what a busy machine may be slow at."""

PLOT = "plot.html#project=1001&plot=2"


@pytest.fixture(scope="module")
def made(sample_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its site inside."""
    place = tmp_path_factory.mktemp("bench") / "project"
    shutil.copytree(sample_project, place)
    browse(place)
    return place


@pytest.fixture
def project(made: Path) -> Iterator[Path]:
    yield made
    shutil.rmtree(made / "answers", ignore_errors=True)


@contextmanager
def served(
    project: Path, who: str = "ann", port: int = 0, others: Sequence[str] = ()
) -> Iterator[Desk]:
    with Desk(
        Project(project), project / "browse", who, read_legend(), port, others=others
    ) as desk:
        thread = threading.Thread(target=desk.serve_forever)
        thread.start()
        try:
            yield desk
        finally:
            desk.shutdown()
            thread.join()


def open_plot(chrome: Chrome, index: str, page: str = PLOT) -> None:
    chrome.get("about:blank")
    chrome.get(index.replace("index.html", page))
    WebDriverWait(chrome, WAIT).until(
        lambda c: c.find_elements(By.CSS_SELECTOR, "#bench[data-ready]")
    )


def wait_told(chrome: Chrome, words: str) -> None:
    WebDriverWait(chrome, WAIT).until(lambda c: words in " ".join(texts(c, ".told")))


def progress(chrome: Chrome) -> str:
    return texts(chrome, ".progress")[0]


def answer(project: Path, who: str = "ann") -> Interpretation:
    (one,) = Store(Project(project)).interpretations([who])
    return one


def interpret_by_keys(chrome: Chrome) -> None:
    """Forest that burnt in 1996 and grew again, by keys alone."""
    press(chrome, Keys.HOME)
    while not texts(chrome, "#detail-title")[0].startswith("1996"):
        press(chrome, Keys.ARROW_RIGHT)
    press(chrome, "v", "l", "1", "1", "4", " ", "3", "2", " ", "1")


BURNT = {
    "1984-08-08": ("Forest", "Trees", None),
    "1996-08-09": ("Forest", "Grass/forb/herb", "Fire"),
    "2025-08-09": ("Forest", "Trees", "Growth"),
}


def said(one: Interpretation) -> dict[str, tuple[str | None, ...]]:
    names = ("dominant_landuse", "dominant_landcover", "change_process")
    return {day: tuple(texts.get(n) for n in names) for day, texts in one.vertices.items()}


def test_by_keys_served(chrome: Chrome, project: Path) -> None:
    console(chrome)
    with served(project) as desk:
        open_plot(chrome, desk.address)
        interpret_by_keys(chrome)
        wait_told(chrome, "saved on disk")
        assert progress(chrome) == "✓ complete"
        assert said(answer(project)) == BURNT
        assert len(chrome.find_elements(By.CSS_SELECTOR, "#chips .chip.vertex")) == 3
        line = chrome.find_element(By.CSS_SELECTOR, "#charts .course-line").get_attribute("d") or ""
        assert line.count("L") == 2
        press(chrome, "u")
        wait_told(chrome, "saved on disk")
        assert progress(chrome) == "7 of 8 labels"
        press(chrome, "U")
        wait_told(chrome, "saved on disk")
        assert progress(chrome) == "✓ complete"
        chrome.refresh()
        WebDriverWait(chrome, WAIT).until(lambda c: "✓ complete" in texts(c, ".progress"))
        press(chrome, "j")
        WebDriverWait(chrome, WAIT).until(lambda c: c.title == "Plot 3, project 1001")
        chrome.get(desk.address)
        WebDriverWait(chrome, WAIT).until(
            lambda c: "1 of 6 plots complete" in texts(c, "#answered")[0]
        )
        first, second, *_ = texts(chrome, "#plots tbody tr")
        assert second.endswith("in 1996 ✓")
        assert first.endswith("once complete"), "no date before the plot was looked at"
        Select(chrome.find_element(By.ID, "answers")).select_by_value("complete")
        WebDriverWait(chrome, WAIT).until(lambda c: len(texts(c, "#plots tbody tr")) == 1)
    assert console(chrome) == []


def test_by_mouse_served(chrome: Chrome, project: Path) -> None:
    console(chrome)
    with served(project) as desk:
        open_plot(chrome, desk.address)

        def click(text: str) -> None:
            buttons = chrome.find_elements(By.CSS_SELECTOR, "#bench button")
            next(one for one in buttons if one.text == text).click()

        burnt = next(
            chip
            for chip in chrome.find_elements(By.CSS_SELECTOR, "#chips .chip")
            if (chip.get_attribute("aria-label") or "").startswith("1996-08-09")
        )
        chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", burnt)
        burnt.click()
        click("Vertex v")
        for day, labels in BURNT.items():
            names = ("dominant_landuse", "dominant_landcover", "change_process")
            for name, label in zip(names, labels, strict=True):
                if label:
                    chrome.find_element(By.CSS_SELECTOR, f'[data-focus="{day} {name}"]').click()
                    picks = chrome.find_elements(By.CSS_SELECTOR, ".pick")
                    next(one for one in picks if one.text.endswith(f" {label}")).click()
        notes = chrome.find_elements(By.CSS_SELECTOR, ".notes input")
        assert notes  # of the process that was chosen last
        chrome.find_element(By.CSS_SELECTOR, ".more summary").click()
        comment = chrome.find_element(By.CSS_SELECTOR, '[data-focus="more comment"]')
        comment.send_keys("<img src=x onerror=alert(1)>", Keys.ENTER)
        WebDriverWait(chrome, WAIT).until(lambda c: "comment" in answer(project).texts)
        one = answer(project)
        assert said(one) == BURNT
        assert one.texts["comment"] == "<img src=x onerror=alert(1)>"
        assert not chrome.find_elements(By.CSS_SELECTOR, "#bench img")
        click("Undo u")
        WebDriverWait(chrome, WAIT).until(lambda c: "comment" not in answer(project).texts)
        script = "arguments[0].dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))"
        chrome.execute_script(script, burnt)
        WebDriverWait(chrome, WAIT).until(lambda c: len(answer(project).vertices) == 2)
    assert console(chrome) == []


def test_what_the_server_could_not_take_waits_in_the_browser(chrome: Chrome, project: Path) -> None:
    """The server dies, the page is closed, and the next server gets what was said."""
    with served(project) as desk:
        port = desk.server_address[1]
        open_plot(chrome, desk.address)
        press(chrome, "l", "1")
        wait_told(chrome, "saved on disk")
    press(chrome, "1")
    wait_told(chrome, "kept in this browser")
    chrome.get("about:blank")
    assert len(said(answer(project))) == 2
    assert "dominant_landcover" not in answer(project).vertices["1984-08-08"]
    console(chrome)
    with served(project, port=port) as desk:
        open_plot(chrome, desk.address)
        wait_told(chrome, "saved on disk")
    assert answer(project).vertices["1984-08-08"]["dominant_landcover"] == "Trees"
    assert console(chrome) == []


def test_two_windows_of_one_person(chrome: Chrome, project: Path) -> None:
    with served(project) as desk:
        open_plot(chrome, desk.address)
        first = chrome.current_window_handle
        chrome.switch_to.new_window("tab")
        open_plot(chrome, desk.address)
        press(chrome, "l", "1")
        wait_told(chrome, "saved on disk")
        second = chrome.current_window_handle
        chrome.switch_to.window(first)
        WebDriverWait(chrome, WAIT).until(lambda c: progress(c) == "1 of 5 labels")
        press(chrome, "l", "1")
        wait_told(chrome, "saved on disk")
        chrome.switch_to.window(second)
        WebDriverWait(chrome, WAIT).until(lambda c: progress(c) == "2 of 5 labels")
        chrome.close()
        chrome.switch_to.window(first)
    assert len(answer(project).missing) == 3


def test_from_disk_answers_are_kept_and_given_as_a_file(
    chrome: Chrome, project: Path, tmp_path: Path
) -> None:
    downloads = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chrome.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    console(chrome)
    index = (project / "browse/index.html").as_uri()
    open_plot(chrome, index)
    name = chrome.find_element(By.ID, "who")
    name.send_keys("../ben", Keys.ENTER)
    assert "can't name a file" in texts(chrome, ".told")[0]
    name.clear()
    name.send_keys("ben", Keys.ENTER)
    WebDriverWait(chrome, WAIT).until(lambda c: texts(c, ".progress") == ["0 of 5 labels"])
    chrome.execute_script("document.activeElement.blur()")
    interpret_by_keys(chrome)
    wait_told(chrome, "saved in this browser")
    chrome.get("about:blank")
    open_plot(chrome, index)
    assert progress(chrome) == "✓ complete"
    chrome.get(index)
    WebDriverWait(chrome, WAIT).until(lambda c: c.find_elements(By.ID, "save-file"))
    assert "1 of 6 plots complete" in texts(chrome, "#answered")[0]
    chrome.find_element(By.ID, "save-file").click()
    path = tmp_path / "answers-ben.jsonl"
    WebDriverWait(chrome, WAIT).until(lambda c: path.exists())
    assert json.loads(path.read_text().split("\n")[0])["form"] == "timesync_xr answers"
    assert merge_answers(Project(project), [path]).new == 10
    assert merge_answers(Project(project), [path]).new == 0
    assert said(answer(project, "ben")) == BURNT
    assert console(chrome) == []


def test_an_arbitrator_sees_both_and_overwrites_nothing(chrome: Chrome, project: Path) -> None:
    store = Store(Project(project))
    ben = [one | {"who": "ben"} for one in whole("ben")]
    ben[4]["set"] = ben[4]["set"] | {"change_process": "Harvest"}
    store.append([*whole("ann"), *ben])
    before = {who: store.acts("1001", "2", who) for who in ("ann", "ben")}
    console(chrome)
    with served(project, "chris", others=("ann", "ben")) as desk:
        open_plot(chrome, desk.address)
        assert texts(chrome, ".other h3") == ["■ ann", "■ ben"]
        assert texts(chrome, ".said.differs") == ["Growth", "Harvest"]
        assert progress(chrome) == "0 of 5 labels"
        chrome.find_element(By.CSS_SELECTOR, '[data-focus="take ben"]').click()
        wait_told(chrome, "saved on disk")
        assert progress(chrome) == "✓ complete"
        assert answer(project, "chris").vertices == answer(project, "ben").vertices
    assert {who: store.acts("1001", "2", who) for who in ("ann", "ben")} == before
    assert console(chrome) == []


def test_a_figure_holds_the_chips_that_are_shown(
    chrome: Chrome, project: Path, tmp_path: Path
) -> None:
    """Pixel for pixel those of the project; from disk the page says that it can't."""
    downloads = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chrome.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    with served(project) as desk:
        console(chrome)
        open_plot(chrome, desk.address)
        chrome.find_element(By.ID, "with-chips").click()
        for form in ("svg", "png"):
            chrome.find_element(By.ID, f"save-{form}").click()
            wait_for(tmp_path / f"plot_1001_2.{form}")
        assert console(chrome) == []
        chips = len(texts(chrome, "#chips .chip"))
    drawing = (tmp_path / "plot_1001_2.svg").read_text()
    held = re.findall(r'href="data:image/png;base64,([^"]+)"', drawing)
    assert len(held) == chips > 30
    first = project / "prj_1001/tc/plot_2/plot_2_1984_221.png"
    assert base64.b64decode(held[0]) == first.read_bytes()
    assert "Plot 2, project 1001" in drawing
    with Image.open(tmp_path / "plot_1001_2.png") as picture:
        assert picture.height > 1400
        colors = picture.convert("RGB").getcolors(1 << 24)
    assert colors is not None
    assert len(colors) > 5000, "chips and charts are in it"
    open_plot(chrome, (project / "browse/index.html").as_uri())
    assert not chrome.find_element(By.ID, "with-chips").is_enabled()
    assert texts(chrome, "#chips-note") == ["with chips (served pages only)"]
