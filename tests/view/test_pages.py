"""The pages of a site in a real browser: clicks, keys, no errors in its console.

Chromium and its driver are Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from timesync_xr import chip_outlines
from timesync_xr.landsat import CSV_BANDS
from timesync_xr.sample import SamplePaths
from timesync_xr.view.site import browse

pytestmark = pytest.mark.services
selenium = pytest.importorskip("selenium", reason="needs the test extra")

from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver import Chrome, ChromeOptions, ChromeService, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

NASTY = """a&b'%41#c;?<img src=x onerror=document.title="broken">"""
"""An id that would break a page which takes ids for HTML or for parts of an address."""


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no browser here: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = program
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,900"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def site(sample_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(browse(sample_project, tmp_path_factory.mktemp("site")).out)


def console(chrome: Chrome) -> list[str]:
    """What the console got since it was asked last."""
    log: Any = chrome
    return [entry["message"] for entry in log.get_log("browser")]


Open = Callable[[str], Chrome]


@pytest.fixture
def open_page(chrome: Chrome, site: Path) -> Iterator[Open]:
    """Opens a page of the site from disk; at the end the console must hold nothing."""

    def load(address: str) -> Chrome:
        chrome.get("about:blank")
        chrome.get(f"{site.as_uri()}/{address}")
        return chrome

    console(chrome)
    yield load
    assert console(chrome) == []


def texts(chrome: Chrome, selector: str) -> list[str]:
    """Texts of nodes, read again where the page was drawn anew in between."""
    while True:
        try:
            return [node.text for node in chrome.find_elements(By.CSS_SELECTOR, selector)]
        except StaleElementReferenceException:
            continue


def press(chrome: Chrome, *keys: str) -> None:
    for key in keys:
        chrome.switch_to.active_element.send_keys(key)


def chosen(chrome: Chrome) -> str:
    """Day of the selected observation, as the detail says; the chip and the address must agree."""
    day = texts(chrome, "#detail-title")[0][:10]
    labels = [
        node.get_attribute("aria-label") or ""
        for node in chrome.find_elements(By.CSS_SELECTOR, '#chips [aria-selected="true"]')
    ]
    assert [label[:10] for label in labels] == [day]
    assert f"day={day}" in chrome.current_url
    return day


def all_images_shown(chrome: Chrome) -> bool:
    script = """return [...document.images].filter((image) => {
        const box = image.getBoundingClientRect();
        return box.bottom > 0 && box.top < innerHeight;
    }).every((image) => image.complete && image.naturalWidth === 255)"""
    return bool(chrome.execute_script(script))


def page_record(site: Path, plot: str) -> dict[str, Any]:
    """The data of a page."""
    text = (site / f"data/prj_1001/plot_{plot}.js").read_text()
    record: dict[str, Any] = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    return record


def wait_for(path: Path) -> None:
    """Wait for a file that the browser saves."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)


def test_list_can_be_searched_filtered_sorted_and_left(open_page: Open) -> None:
    chrome = open_page("index.html")
    assert texts(chrome, "#plots tbody a") == ["1", "2", "3", "4", "5", "river-bank"]
    press(chrome, "/", "valley")
    assert texts(chrome, "#plots tbody a") == ["river-bank"]
    chrome.find_element(By.CSS_SELECTOR, "[type=reset]").click()
    WebDriverWait(chrome, 60).until(lambda c: len(texts(c, "#plots tbody tr")) == 6)
    Select(chrome.find_element(By.ID, "status")).select_by_value("complete")
    assert len(texts(chrome, "#plots tbody tr")) == 6
    falls = chrome.find_elements(By.CSS_SELECTOR, "#plots th button")[-2]
    falls.click()
    assert texts(chrome, "#plots tbody a")[0] == "2"
    heads = chrome.find_elements(By.CSS_SELECTOR, "#plots th")
    assert heads[-2].get_attribute("aria-sort") == "ascending"
    least = chrome.find_element(By.ID, "least")
    least.send_keys("1000")
    assert texts(chrome, "#plots tbody tr") == []
    least.clear()
    least.send_keys("1")
    chrome.find_element(By.LINK_TEXT, "2").click()
    WebDriverWait(chrome, 60).until(lambda c: c.title == "Plot 2, project 1001")


def test_list_is_as_it_was_left(open_page: Open) -> None:
    """The next plot is the next of the list, and both ways back lead to the list as it was."""
    chrome = open_page("index.html")
    chrome.find_element(By.ID, "search").send_keys("1001")
    chrome.find_elements(By.CSS_SELECTOR, "#plots th button")[-2].click()
    order = texts(chrome, "#plots tbody a")
    assert order == ["2", "4", "3", "5", "1"]
    chrome.find_element(By.LINK_TEXT, "2").click()
    WebDriverWait(chrome, 60).until(lambda c: c.title == "Plot 2, project 1001")
    press(chrome, "n")
    WebDriverWait(chrome, 60).until(lambda c: c.title == "Plot 4, project 1001")
    assert not chrome.find_elements(By.CSS_SELECTOR, "#problem:not([hidden])")
    chrome.find_element(By.CLASS_NAME, "back").click()
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#plots tbody a") == order)
    chrome.find_element(By.LINK_TEXT, "3").click()
    WebDriverWait(chrome, 60).until(lambda c: c.title == "Plot 3, project 1001")
    chrome.back()
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#plots tbody a") == order)
    chrome.find_element(By.CSS_SELECTOR, "[type=reset]").click()
    WebDriverWait(chrome, 60).until(lambda c: len(texts(c, "#plots tbody tr")) == 6)


def test_next_plot_is_shown_as_this_one(open_page: Open) -> None:
    open_page("index.html")  # the list is in its own order
    chrome = open_page("plot.html#project=1001&plot=2&measures=ndvi")
    press(chrome, "3", "+", "+", "b", "c", "n")
    WebDriverWait(chrome, 60).until(lambda c: c.title == "Plot 3, project 1001")
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    assert texts(chrome, "#charts .name") == ["Normalized difference vegetation index"]
    source = chrome.find_element(By.CSS_SELECTOR, "#chips img").get_attribute("src") or ""
    assert "/b432/" in source
    assert chrome.find_element(By.ID, "zoom").get_attribute("value") == "4"
    assert chrome.find_element(By.ID, "box").get_attribute("value") == "5"
    assert chrome.find_element(By.ID, "cloudy").is_selected()
    chrome.refresh()
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    assert chrome.find_element(By.ID, "zoom").get_attribute("value") == "4"


def test_view_of_a_year_opens_in_that_year(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2&view=1995")
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    assert {text[:4] for text in texts(chrome, "#chips .chip b")} == {"1995"}


def test_selected_chip_is_not_below_the_tools(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    press(chrome, Keys.END)
    for _ in range(30):
        press(chrome, Keys.ARROW_LEFT)
        tools, chip = chrome.execute_script(
            """return [document.querySelector(".tools").getBoundingClientRect().bottom,
            document.querySelector('#chips [aria-selected="true"]').getBoundingClientRect().top]"""
        )
        assert chip >= tools


def test_map_leads_to_a_plot(open_page: Open) -> None:
    chrome = open_page("index.html")
    place = chrome.execute_script(
        """const path = document.querySelector("#map path.complete").getAttribute("d");
        const [x, y] = path.match(/^M(\\S+) (\\S+)a/).slice(1).map(Number);
        const box = document.querySelector("#map svg").getBoundingClientRect();
        return [box.left + x + 4.5, box.top + y]"""
    )
    mouse(chrome, "mouseMoved", *place)
    assert texts(chrome, "#map .tip")[0].startswith("plot 1, project 1001")
    mouse(chrome, "mousePressed", *place)
    mouse(chrome, "mouseReleased", *place)
    WebDriverWait(chrome, 60).until(lambda c: c.title == "Plot 1, project 1001")


def mouse(chrome: Chrome, kind: str, x: float, y: float) -> None:
    event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
    if kind == "mouseMoved":
        event |= {"button": "none"}
    chrome.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def test_keys_lead_through_the_chips(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    WebDriverWait(chrome, 60).until(all_images_shown)
    assert chosen(chrome) == "1984-08-08"
    press(chrome, Keys.ARROW_RIGHT)
    assert chosen(chrome) == "1985-08-03"
    press(chrome, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert chosen(chrome).startswith("1987")
    press(chrome, Keys.ARROW_UP, Keys.ARROW_LEFT)
    assert chosen(chrome).startswith("1985")
    press(chrome, Keys.END)
    assert chosen(chrome).startswith("2025")
    press(chrome, Keys.HOME)
    assert chosen(chrome).startswith("1984")


def test_keys_choose_composite_zoom_box_and_help(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    for key, composite in (("2", "b743"), ("3", "b432"), ("1", "tc")):
        press(chrome, key)
        source = chrome.find_element(By.CSS_SELECTOR, "#chips img").get_attribute("src") or ""
        assert f"/{composite}/" in source
        assert f"composite={composite}" in chrome.current_url
        assert (
            texts(chrome, "#composites label")[["tc", "b743", "b432"].index(composite)] == composite
        )
    mark = chrome.find_element(By.CSS_SELECTOR, "#chips .mark")
    before = mark.size["width"]
    press(chrome, "+", "+")
    assert mark.size["width"] == pytest.approx(4 * before, abs=2)
    three = mark.size["width"]
    press(chrome, "b")
    assert mark.size["width"] == pytest.approx(5 / 3 * three, abs=2)
    press(chrome, "b")
    assert not mark.is_displayed()
    press(chrome, "b")
    assert mark.size["width"] == pytest.approx(1 / 3 * three, abs=2)
    press(chrome, "?")
    assert chrome.find_element(By.ID, "help").is_displayed()
    press(chrome, Keys.ESCAPE)
    assert not chrome.find_element(By.ID, "help").is_displayed()


def test_dot_leads_to_chip_and_chip_to_dot(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    dot = chrome.execute_script(
        """const path = document.querySelector("#charts path.point.annual").getAttribute("d");
        const [x, y] = path.split("M")[13].match(/^(\\S+) (\\S+?)a/).slice(1).map(Number);
        const box = document.querySelector("#charts svg").getBoundingClientRect();
        return [box.left + x + 4.5, box.top + y]"""
    )
    mouse(chrome, "mouseMoved", *dot)
    tip = texts(chrome, "#charts .tip")[0]
    hovered = chrome.find_element(By.CSS_SELECTOR, "#chips .chip.hover")
    assert (hovered.get_attribute("aria-label") or "")[:10] == tip[:10]
    mouse(chrome, "mousePressed", *dot)
    mouse(chrome, "mouseReleased", *dot)
    assert chosen(chrome) == tip[:10]
    before = chrome.find_element(By.CSS_SELECTOR, "#charts path.chosen").get_attribute("transform")
    chrome.find_elements(By.CSS_SELECTOR, "#chips .chip")[0].click()
    assert chosen(chrome) == "1984-08-08"
    after = chrome.find_element(By.CSS_SELECTOR, "#charts path.chosen").get_attribute("transform")
    assert after != before


def clear_or_chosen(record: dict[str, Any]) -> list[str]:
    """Days of what is shown at first: clear or water, or the choice of its year."""
    chosen = record["annual_by_rule"]["contract"]
    grades = enumerate(record["observations"]["grade"])
    days = record["observations"]["day"]
    return [days[at] for at, grade in grades if grade <= 1 or at in chosen]


def test_all_observations_of_a_year(open_page: Open, site: Path) -> None:
    record = page_record(site, "2")
    shown = clear_or_chosen(record)
    chrome = open_page("plot.html#project=1001&plot=2")
    Select(chrome.find_element(By.ID, "view")).select_by_value("1995")
    assert {text[:4] for text in texts(chrome, "#chips .chip b")} == {"1995"}
    assert len(texts(chrome, "#chips .chip")) == sum(day[:4] == "1995" for day in shown) > 1
    assert chosen(chrome).startswith("1995")
    chrome.find_elements(By.CSS_SELECTOR, "#chips .chip")[0].click()
    press(chrome, "a")
    assert len(texts(chrome, "#chips .chip")) == len({day[:4] for day in shown})
    Select(chrome.find_element(By.ID, "view")).select_by_value("all")
    assert len(texts(chrome, "#chips .chip")) == len(shown)


def test_cloudy_observations_can_be_hidden(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=3&view=all")
    clear = len(texts(chrome, "#chips .chip"))
    crosses = "#charts path.point.cloudy"
    before = path_of(chrome, crosses).count(
        "M"
    )  # annual choices alone: the others are off at first
    assert before == len([text for text in texts(chrome, "#chips .sky") if text == "✕"])
    press(chrome, "c")
    assert path_of(chrome, crosses).count("M") > before
    assert len(texts(chrome, "#chips .chip")) > clear


def test_measures_are_chosen_and_kept_in_the_address(open_page: Open, site: Path) -> None:
    chrome = open_page("plot.html#project=1001&plot=2&measures=ndvi,swir2")
    assert texts(chrome, "#charts .name") == [
        "Normalized difference vegetation index",
        "swir2, surface reflectance x 10,000",
    ]
    chrome.find_element(By.CSS_SELECTOR, '#measures input[value="nbr"]').click()
    assert len(texts(chrome, "#charts svg")) == 3
    assert "nbr" in chrome.current_url
    labels = [
        node.get_attribute("aria-label") or ""
        for node in chrome.find_elements(By.CSS_SELECTOR, "#charts svg")
    ]
    count = len(page_record(site, "2")["observations"]["day"])
    assert labels[0].startswith(f"Normalized burn ratio, 1984 to 2026: {count} observations")


def path_of(chrome: Chrome, selector: str) -> str:
    return chrome.find_element(By.CSS_SELECTOR, selector).get_attribute("d") or ""


def test_line_is_broken_over_years_without_a_choice(open_page: Open, site: Path) -> None:
    """As many parts as there are runs of years in a row, found in the data of the page."""
    chrome = open_page("plot.html#project=1001&plot=1")
    record = page_record(site, "1")
    days = record["observations"]["day"]
    years = [int(days[at][:4]) for at in record["annual_by_rule"]["contract"]]
    runs = 1 + sum(b != a + 1 for a, b in itertools.pairwise(years))
    assert runs > 1
    assert path_of(chrome, "#charts .annual-line").count("M") == runs
    slots = texts(chrome, "#chips .slot b")
    every = range(years[0], years[-1] + 1)
    assert slots == [str(year) for year in every if year not in years]
    assert all("fill" in text for text in texts(chrome, "#chips .slot .hole"))
    chrome.find_element(By.ID, "line").click()
    assert path_of(chrome, "#charts .annual-line") == ""


def test_forty_years_fit_into_the_window(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    metrics = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    try:
        for width, height in ((1440, 900), (2560, 1440)):
            size = {"width": width, "height": height}
            chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics | size)
            open_page("plot.html#project=1001&plot=2")
            bottom, right, used = chrome.execute_script(
                """const area = document.querySelector(".chips-area").getBoundingClientRect();
                const boxes = [...document.querySelectorAll(".chip, .slot")]
                  .map((node) => node.getBoundingClientRect());
                return [area.bottom - Math.max(...boxes.map((box) => box.bottom)),
                  area.right - Math.max(...boxes.map((box) => box.right)),
                  boxes.length * boxes[0].width * boxes[0].height / area.width / area.height]"""
            )
            assert bottom >= 0
            assert right >= 0
            assert used > 0.5
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_part_of_the_years_and_other_limits(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    box = chrome.execute_script(
        "const b = document.querySelector('#charts svg').getBoundingClientRect();"
        "return [b.left, b.top, b.width]"
    )
    y = box[1] + 60
    per_year = (box[2] - 56) / 42  # without the margins
    ends = [box[0] + 46 + (year - 1984) * per_year for year in (1994.5, 2002.5)]
    mouse(chrome, "mousePressed", ends[0], y)
    drag(chrome, ends[1], y)
    mouse(chrome, "mouseReleased", ends[1], y)
    label = "return document.querySelector('#charts svg').getAttribute('aria-label')"
    assert "Normalized burn ratio, 1994 to 2003" in chrome.execute_script(label)
    chrome.find_element(By.ID, "all-years").click()
    assert "1984 to 2026" in chrome.execute_script(label)
    before = path_of(chrome, "#charts .annual-line")
    for limits in ("project", "fixed"):
        Select(chrome.find_element(By.ID, "limits")).select_by_value(limits)
        after = path_of(chrome, "#charts .annual-line")
        assert after != before
        before = after
    chrome.find_element(By.ID, "own").click()
    colors = {
        node.get_attribute("fill") for node in chrome.find_elements(By.CSS_SELECTOR, ".own-point")
    }
    assert len(colors) > 5


def test_colours_of_points_are_those_of_the_chip(open_page: Open, site: Path) -> None:
    from PIL import Image

    chrome = open_page("plot.html#project=1001&plot=2&own=true&composite=b743")
    fills = [
        node.get_attribute("fill") or ""
        for node in chrome.find_elements(By.CSS_SELECTOR, "#charts .chart:first-child .own-point")
    ]
    first = [int(part) for part in fills[0][4:-1].split()]
    with Image.open(site / "prj_1001/b743/plot_2/plot_2_1984_221.png") as chip:
        pixel = chip.getpixel((127, 127))
    assert isinstance(pixel, tuple)
    assert all(abs(a - b) <= 2 for a, b in zip(first, pixel, strict=True))


def test_two_dates_are_compared(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    press(chrome, Keys.HOME, "k", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert "marked: 1984-08-08" in texts(chrome, "#detail figcaption")[0]
    second = chosen(chrome)
    press(chrome, "f")
    assert chosen(chrome) == "1984-08-08"
    press(chrome, "f")
    assert chosen(chrome) == second
    press(chrome, "y")
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title")[0] > "1989")
    press(chrome, "y")
    stopped = chosen(chrome)
    press(chrome, Keys.ARROW_RIGHT)
    assert chosen(chrome) > stopped


def test_where_a_plot_is(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    place = texts(chrome, "#where .copy")
    assert place[1] == "434310, 2412930"
    lat, lon = map(float, place[0].split(", "))
    plots = pd.DataFrame({"x": [434310.0], "y": [2412930.0]})
    outline = chip_outlines(plots)
    assert (lon, lat) == pytest.approx((outline["lon"][0], outline["lat"][0]), abs=1e-6)
    for link in chrome.find_elements(By.CSS_SELECTOR, "#where a"):
        assert link.get_attribute("rel") == "noopener noreferrer"


def test_own_columns_of_the_list_are_shown(
    chrome: Chrome, sample: SamplePaths, sample_project: Path, tmp_path: Path
) -> None:
    browse(sample_project, tmp_path, plots=sample.plots, title=NASTY)
    chrome.get((tmp_path / "index.html").as_uri())
    assert texts(chrome, "#title") == [NASTY]
    chrome.find_element(By.ID, "search").send_keys("burnt")
    rows = texts(chrome, "#plots tbody a")
    assert "2" in rows
    assert len(rows) < 6
    chrome.get(f"{tmp_path.as_uri()}/plot.html#project=1001&plot=2")
    WebDriverWait(chrome, 60).until(lambda c: "burnt in July 1996" in texts(c, "#where")[0])


def drag(chrome: Chrome, x: float, y: float) -> None:
    event = {"type": "mouseMoved", "x": x, "y": y, "button": "left", "buttons": 1}
    chrome.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def test_plots_without_items_are_not_drawn_as_incomplete(
    chrome: Chrome, site: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    index = next(path for path in (copy / "data").glob("*.js"))
    text = index.read_text()
    assert text.count('"complete"') == 6
    index.write_text(
        text.replace('"complete"', '"no items"', 2).replace('"complete"', '"incomplete"', 1)
    )
    chrome.get(f"{copy.as_uri()}/index.html")
    summary = texts(chrome, "#summary")[0]
    assert summary.startswith("6 plots, 1 incomplete, 2 without any item;")

    def marks(kind: str) -> int:
        (drawn,) = chrome.find_elements(By.CSS_SELECTOR, f"#map path.{kind}")
        return (drawn.get_attribute("d") or "").count("M")

    assert [marks(kind) for kind in ("complete", "incomplete", "no-items")] == [3, 1, 2]
    assert len(texts(chrome, "#plots td.no-items")) == 2
    assert "no items" in texts(chrome, ".legend")[0]
    assert console(chrome) == []


def test_plot_without_values_shows_its_chips(open_page: Open, site: Path, tmp_path: Path) -> None:
    """As of a project that was made without csv; the keys work as ever."""
    text = (site / "data/prj_1001/plot_2.js").read_text()
    start, end = text.index("(") + 1, text.rindex(")")
    record = json.loads(text[start:end])
    empty = [None] * len(record["observations"]["day"])
    for name in ("nbr", "ndvi", "tcb", "tcg", "tcw", "tca", *CSV_BANDS, "qa"):
        record["observations"][name] = empty
    record["annual_by_rule"] = {rule: [] for rule in record["annual_by_rule"]}
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    (copy / "data/prj_1001/plot_2.js").write_text(f"{text[:start]}{json.dumps(record)}{text[end:]}")
    chrome = open_page("index.html")
    chrome.get(f"{copy.as_uri()}/plot.html#project=1001&plot=2&view=all")
    assert texts(chrome, "#charts .none") == [
        "Normalized burn ratio: no values",
        "Tasseled-cap wetness: no values",
    ]
    assert len(texts(chrome, "#chips .chip")) == len(clear_or_chosen(record))
    press(chrome, Keys.ARROW_RIGHT)
    assert texts(chrome, "#detail-title")[0] != "1984-08-08, LT05"


def test_pages_tell_the_target_day(open_page: Open) -> None:
    chrome = open_page("plot.html#project=1001&plot=2")
    press(chrome, "?")
    assert "nearest to day 215" in texts(chrome, "#help")[0]


def test_next_plot_and_unknown_plot(open_page: Open) -> None:
    open_page("index.html")
    chrome = open_page("plot.html#project=1001&plot=5")
    press(chrome, "n")
    WebDriverWait(chrome, 60).until(lambda c: c.title == "Plot river-bank, project valley")
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    chrome = open_page("plot.html#project=1001&plot=none")
    assert "no plot none of project 1001" in texts(chrome, "#problem")[0]


def test_ids_are_text_never_html(chrome: Chrome, site: Path, tmp_path: Path) -> None:
    """Such an id can't get into a project; were it to, it would be shown as it stands."""
    shutil.copytree(site, tmp_path / "site", symlinks=True)
    index = tmp_path / "site/data/plots.js"
    index.write_text(index.read_text().replace('"river-bank"', json.dumps(NASTY)))
    chrome.get("about:blank")
    chrome.get((tmp_path / "site/index.html").as_uri())
    assert NASTY in texts(chrome, "#plots tbody a")
    assert chrome.find_elements(By.CSS_SELECTOR, "#plots img, #map img") == []
    chrome.find_element(By.LINK_TEXT, NASTY).click()
    WebDriverWait(chrome, 60).until(lambda c: c.find_element(By.ID, "problem").is_displayed())
    assert NASTY in texts(chrome, "#problem")[0]
    console(chrome)  # it holds that the plot's data are not there


def test_allowed_but_odd_ids_lead_to_their_chips(
    chrome: Chrome, site: Path, tmp_path: Path
) -> None:
    odd = "a&b'%41#c; ü"
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    for path in [copy / "data/plots.js", copy / "data/prj_valley/plot_river-bank.js"]:
        path.write_text(path.read_text().replace('"river-bank"', json.dumps(odd)))
    (copy / "data/prj_valley/plot_river-bank.js").rename(copy / f"data/prj_valley/plot_{odd}.js")
    for folder in copy.glob("prj_valley/*/plot_river-bank"):
        for chip in folder.iterdir():
            chip.rename(chip.with_name(chip.name.replace("river-bank", odd)))
        folder.rename(folder.with_name(f"plot_{odd}"))
    chrome.get("about:blank")
    chrome.get((copy / "index.html").as_uri())
    chrome.find_element(By.LINK_TEXT, odd).click()
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    WebDriverWait(chrome, 60).until(all_images_shown)
    assert console(chrome) == []


@pytest.mark.parametrize("width", [360, 900, 2400])
@pytest.mark.parametrize("page", ["index.html", "plot.html#project=1001&plot=2"])
def test_nothing_is_wider_than_the_window(open_page: Open, width: int, page: str) -> None:
    chrome = open_page("index.html")
    metrics: dict[str, Any] = {
        "width": width,
        "height": 800,
        "deviceScaleFactor": 1,
        "mobile": False,
    }
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        open_page(page)
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_rule_of_the_annual_choice_is_told_and_switched(
    open_page: Open, site: Path, tmp_path: Path
) -> None:
    """Of 1995 another observation is made the choice by grade; there are four."""
    record = page_record(site, "2")
    days, rules = record["observations"]["day"], record["annual_by_rule"]
    position = next(at for at in rules["contract"] if days[at].startswith("1995"))
    other = next(at for at, day in enumerate(days) if day[:4] == "1995" and at != position)
    graded = [other if at == position else at for at in rules["contract"]]
    record["annual_by_rule"] = {"contract": rules["contract"], "graded": graded}
    record["observations"]["outlier"] = [at == other for at in range(len(days))]
    copy = tmp_path / "site"
    shutil.copytree(site, copy, copy_function=os.link)
    data = copy / "data/prj_1001/plot_2.js"
    data.unlink()
    data.write_text(f"timesync.receivePlot({json.dumps(record)});\n")
    chrome = open_page("index.html")
    chrome.get(f"{copy.as_uri()}/plot.html#project=1001&plot=2&day={days[position]}")
    rule = Select(chrome.find_element(By.ID, "rule"))
    assert rule.first_selected_option.text == "contract"
    assert chosen(chrome) == days[position]
    assert "of 1995, by contract" in texts(chrome, "#detail")[0]
    rule.select_by_value("graded")
    assert chosen(chrome) == days[other]
    assert "rule=graded" in chrome.current_url
    detail = texts(chrome, "#detail")[0]
    assert "of 1995, by graded" in detail
    assert "Fmask 0 (clear); strictly clear; outlier" in detail
    assert chrome.find_element(By.ID, "outliers").is_displayed()
    assert path_of(chrome, "#charts .point.outlier").count("M") == 1
    chrome.refresh()
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    assert chosen(chrome) == days[other]
    assert texts(chrome, "#where span")[0] == "tile h19v06"


def transform_of(chrome: Chrome) -> str:
    outline = chrome.find_element(By.CSS_SELECTOR, "#map .outline.state")
    assert outline.get_attribute("d")
    return outline.get_attribute("transform") or ""


def test_map_is_moved_zoomed_and_fitted(open_page: Open) -> None:
    chrome = open_page("index.html")
    box = chrome.execute_script(
        "const b = document.querySelector('#map svg').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]"
    )
    fitted = transform_of(chrome)
    chrome.find_element(By.ID, "map-out").click()
    zoomed = transform_of(chrome)
    assert zoomed != fitted
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 4
    mouse(chrome, "mousePressed", x, y)
    drag(chrome, x + 60, y + 20)
    mouse(chrome, "mouseReleased", x + 60, y + 20)
    moved = transform_of(chrome)
    assert moved != zoomed
    assert moved.split("scale")[1] == zoomed.split("scale")[1]
    assert "TimeSync project" in chrome.title, "a drag opens no plot"
    wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": -100}
    chrome.execute_cdp_cmd("Input.dispatchMouseEvent", wheel)
    WebDriverWait(chrome, 60).until(lambda c: transform_of(c) != moved)
    chrome.find_element(By.ID, "map-fit").click()
    assert transform_of(chrome) == fitted
    chrome.find_element(By.ID, "map").send_keys(Keys.ARROW_RIGHT, "-")
    assert transform_of(chrome) != fitted


def test_map_is_moved_and_zoomed_by_two_fingers(open_page: Open) -> None:
    """One finger scrolls the page, as everywhere; what lies below the fingers stays below them."""
    chrome = open_page("index.html")
    left, top, width, height = chrome.execute_script(
        "const b = document.querySelector('#map svg').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]"
    )

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        points = [{"x": left + x, "y": top + y, "id": n} for n, (x, y) in enumerate(fingers)]
        chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def frame() -> tuple[float, float, float]:
        found = re.findall(r"-?[\d.]+(?:e-?\d+)?", transform_of(chrome))
        return float(found[0]), float(found[1]), float(found[2])

    x, y = width / 2, height / 2
    fitted = frame()
    touch("touchStart", (x - 40, y))
    touch("touchMove", (x + 20, y))
    touch("touchEnd")
    assert frame() == fitted
    touch("touchStart", (x - 40, y), (x + 40, y))
    for step in (10, 20, 40):  # apart, and both to the right and down
        touch("touchMove", (x - 40 - step + 30, y + 15), (x + 40 + step + 30, y + 15))
    touch("touchEnd")
    zoomed = frame()
    assert zoomed[2] == pytest.approx(2 * fitted[2])
    for at, (before, after, moved) in zip(
        (x, y), ((fitted[0], zoomed[0], 30), (fitted[1], zoomed[1], 15)), strict=True
    ):
        assert (at + moved - after) / zoomed[2] == pytest.approx((at - before) / fitted[2])
    assert "TimeSync project" in chrome.title, "no plot is opened"


def test_tips_stay_inside_the_window(open_page: Open) -> None:
    chrome = open_page("index.html")
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        open_page("index.html")
        places = chrome.execute_script(
            """const box = document.querySelector("#map svg").getBoundingClientRect();
            scrollTo(0, box.top + scrollY - 100);
            const at = document.querySelector("#map svg").getBoundingClientRect();
            return [...document.querySelector("#map path.complete").getAttribute("d")
              .matchAll(/M(\\S+) (\\S+?)a/g)]
              .map(([, x, y]) => [at.left + Number(x) + 4.5, at.top + Number(y)])"""
        )
        assert len(places) == 6
        for x, y in places:
            mouse(chrome, "mouseMoved", x, y)
            left, right = chrome.execute_script(
                """const box = document.querySelector("#map .tip").getBoundingClientRect();
                return [box.left, box.right]"""
            )
            assert left >= 0
            assert right <= 390
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_own_columns_are_filtered(
    chrome: Chrome, sample: SamplePaths, sample_project: Path, tmp_path: Path
) -> None:
    """A column of numbers, one of few kinds, and one of texts."""
    table = pd.read_csv(sample.plots, dtype=str)
    table["height"] = ["9", "10", "-2.5", "", "100", "7"]
    table["stratum"] = ["a", "b", "a", "b", "a", "b"]
    table["note"] = [f"{note} {at}" for at, note in enumerate(table["note"])]
    table.to_csv(tmp_path / "mine.csv", index=False)
    browse(sample_project, tmp_path / "site", plots=tmp_path / "mine.csv")
    ids = dict(
        zip(table["plot_id"], zip(table["height"], table["stratum"], strict=True), strict=True)
    )
    console(chrome)
    chrome.get((tmp_path / "site/index.html").as_uri())

    def shown() -> list[str]:
        return texts(chrome, "#plots tbody a")

    chrome.find_element(By.CSS_SELECTOR, "#own-filters summary").click()
    Select(chrome.find_element(By.ID, "own-2")).select_by_value("a")
    assert shown() == [one for one, (_, stratum) in ids.items() if stratum == "a"]
    chrome.find_element(By.ID, "own-1-from").send_keys("-3")
    chrome.find_element(By.ID, "own-1-to").send_keys("50")
    assert shown() == ["1", "3"]
    heads = chrome.find_elements(By.CSS_SELECTOR, "#plots th button")
    next(head for head in heads if head.text.startswith("height")).click()
    assert shown() == ["3", "1"], "as numbers: -2.5 before 9"
    chrome.refresh()
    WebDriverWait(chrome, 60).until(lambda c: shown() == ["3", "1"])
    assert console(chrome) == []


@pytest.mark.parametrize(
    ("page", "pages"), [("plot.html#project=1001&plot=1", 2), ("index.html", 1)]
)
def test_printed(open_page: Open, tmp_path: Path, page: str, pages: int) -> None:
    """A plot on two pages; the list with all of its columns."""
    chrome = open_page(page)
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title, #plots tbody a") != [])
    paper = {"printBackground": True, "preferCSSPageSize": True}
    for size in (
        {"paperWidth": 8.27, "paperHeight": 11.69},
        {"paperWidth": 8.5, "paperHeight": 11},
    ):
        printed = chrome.execute_cdp_cmd("Page.printToPDF", paper | size)
        pdf = base64.b64decode(printed["data"])
        assert len(re.findall(rb"/Type /Page\b", pdf)) == pages
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    metrics = {"width": 703, "height": 971, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= 703
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_chips_are_zoomed_and_moved_together(open_page: Open) -> None:
    """By the wheel and by dragging; a drag chooses no chip."""
    chrome = open_page("plot.html#project=1001&plot=2")
    WebDriverWait(chrome, 60).until(all_images_shown)
    before = chosen(chrome)
    place = """const box = document.querySelectorAll("#chips .frame")[9].getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2, box.width]"""
    x, y, width = chrome.execute_script(place)
    for _ in range(2):
        wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": -100, "modifiers": 2}
        chrome.execute_cdp_cmd("Input.dispatchMouseEvent", wheel)
    zoom = chrome.find_element(By.ID, "zoom")
    WebDriverWait(chrome, 60).until(lambda c: zoom.get_attribute("value") == "4")
    mouse(chrome, "mousePressed", x, y)
    drag(chrome, x + width / 4, y)
    mouse(chrome, "mouseReleased", x + width / 4, y)
    assert chosen(chrome) == before
    shift = """const frame = document.querySelectorAll(arguments[0])[0].getBoundingClientRect();
        const mark = document.querySelectorAll(`${arguments[0]} .mark`)[0].getBoundingClientRect();
        return (mark.left + mark.width / 2 - frame.left) / frame.width"""
    for frames in ("#chips .frame", "#detail .frame"):
        assert chrome.execute_script(shift, frames) == pytest.approx(0.75, abs=0.02)
    press(chrome, "-", "-")
    assert chrome.execute_script(shift, "#chips .frame") == pytest.approx(0.5, abs=0.02)
    mouse(chrome, "mousePressed", x, y)
    mouse(chrome, "mouseReleased", x, y)
    assert chosen(chrome) != before


def test_chips_are_stretched_by_limits(open_page: Open, site: Path) -> None:
    """The plot pixel on the screen is that of the chip's file by the arithmetic of the limits."""
    from PIL import Image

    chrome = open_page("plot.html#project=1001&plot=2&composite=b743&box=0&zoom=16")
    text = (site / "data/plots.js").read_text()
    colors = json.loads(text[text.index("(") + 1 : text.rindex(")")])["colors"]["b743"]
    with Image.open(site / "prj_1001/b743/plot_2/plot_2_1984_221.png") as chip:
        pixel = chip.convert("RGB").getpixel((127, 127))
    assert isinstance(pixel, tuple)
    limits = [(low - 50, low + (high - low) * 0.8) for _, low, high in colors]
    expected = [
        min(255, max(0, 255 * (low + part / 255 * (high - low) - start) / (end - start)))
        for part, (_, low, high), (start, end) in zip(pixel, colors, limits, strict=True)
    ]
    chrome.find_element(By.CSS_SELECTOR, "#stretch-panel summary").click()
    inputs = chrome.find_elements(By.CSS_SELECTOR, "#limits-of input")
    for field, value in zip(inputs, [one for both in limits for one in both], strict=True):
        field.clear()
        field.send_keys(str(value), Keys.TAB)
    assert "stretch=b743" in chrome.current_url

    def seen() -> tuple[int, ...]:
        frame = chrome.find_element(By.CSS_SELECTOR, "#detail .frame")
        with Image.open(io.BytesIO(frame.screenshot_as_png)) as picture:
            middle = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
        assert isinstance(middle, tuple)
        return middle

    WebDriverWait(chrome, 60).until(all_images_shown)
    assert seen() == pytest.approx(expected, abs=3)
    chrome.refresh()
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    WebDriverWait(chrome, 60).until(all_images_shown)
    assert seen() == pytest.approx(expected, abs=3)
    chrome.find_element(By.CSS_SELECTOR, "#stretch-panel summary").click()
    chrome.find_element(By.ID, "stretch-usual").click()
    assert seen() == pytest.approx(pixel, abs=3)


def test_figure_and_data_are_saved(open_page: Open, site: Path, tmp_path: Path) -> None:
    from PIL import Image

    chrome = open_page("plot.html#project=1001&plot=2")
    downloads = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chrome.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    WebDriverWait(chrome, 60).until(lambda c: texts(c, "#detail-title") != [])
    for form in ("svg", "png", "csv"):
        chrome.find_element(By.ID, f"save-{form}").click()
        path = tmp_path / f"plot_1001_2.{form}"
        wait_for(path)
    drawing = (tmp_path / "plot_1001_2.svg").read_text()
    assert "Plot 2, project 1001" in drawing
    assert drawing.count("<svg") == 3
    assert "class=" not in drawing
    with Image.open(tmp_path / "plot_1001_2.png") as picture:
        colors = picture.convert("RGB").getcolors(1 << 24)
    assert colors is not None
    assert len(colors) > 20, "the charts are in it, in their colours"
    saved = pd.read_csv(tmp_path / "plot_1001_2.csv")
    record = page_record(site, "2")
    assert saved["day"].tolist() == clear_or_chosen(record)
    every = pd.DataFrame(record["observations"]).set_index("day").loc[saved["day"]]
    for name in ("nbr", "swir2", "fmask"):
        assert saved[name].tolist() == every[name].tolist()
    assert saved["annual_choice"].sum() == len(record["annual_by_rule"]["contract"])
