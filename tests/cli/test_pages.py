"""The pages in a browser: text stays text, keyboard, screen reader, narrow and dark."""

from __future__ import annotations

import re
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("jinja2")
pytest.importorskip("playwright")

from playwright.sync_api import expect, sync_playwright

from pantheon_obs.cli.main import main
from pantheon_obs.cli.reading.files import find
from pantheon_obs.cli.reading.lines import Reader
from pantheon_obs.cli.serve.memory import Memory
from pantheon_obs.cli.serve.server import Server
from tests.cli.pages import (
    BIDI,
    CALLER,
    HOSTILE,
    MARKUP,
    TRACE,
    call,
    line,
    opened,
    request,
    write_log,
)
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.cli.conftest import Run

CHROMIUM = program("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a report."""
    folder = tmp_path_factory.mktemp("report")
    log = write_log(folder / "shop.log", HOSTILE)
    page = folder / "report.html"
    assert 0 == main(["report", str(log), "--html", str(page)])
    return page


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a story."""
    folder = tmp_path_factory.mktemp("story")
    log = write_log(folder / "shop.log", HOSTILE)
    page = folder / "story.html"
    assert 0 == main(["story", TRACE, str(log), "--html", str(page)])
    return page


def test_what_a_log_says_stays_text(browser: Browser, report: Path) -> None:
    """Markup, entities and long values are shown as they are, in the report and its story."""
    with opened(browser, report.as_uri()) as page:
        page.locator(f'[data-open-story="{TRACE}"]').first.click()
        story = page.locator(f'[data-story="{TRACE}"]')
        expect(story).to_contain_text(MARKUP)
        expect(story).to_contain_text(BIDI)
        expect(story).to_contain_text("998,000 more characters")
        expect(page.locator("[data-table=requests]")).to_contain_text(f"/{MARKUP}")
        assert "Report" == page.title()
        assert 0 == page.locator("img").count()
        assert 3 == page.locator("script").count()


def test_a_page_is_small_and_has_a_strict_policy(report: Path) -> None:
    """Without its data it has less than 400 kB; only scripts of known hashes may run."""
    html = report.read_text(encoding="utf-8")
    data = re.search('<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert data
    assert len(html) - len(data[1]) < 400_000
    policy = re.search('Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    assert policy[1].startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "unsafe" not in policy[1]


def test_columns_sort_with_the_keyboard(browser: Browser, report: Path) -> None:
    """A second press turns the order round; cells without a value come last either way."""
    with opened(browser, report.as_uri()) as page:
        table = page.locator("table[data-table=requests]")
        head = table.locator("th[data-key=p95_ms]")

        def order() -> list[str | None]:
            cells = table.locator("tbody td[data-key=p95_ms]")
            return [cell.get_attribute("data-value") for cell in cells.all()]

        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert "descending" == head.get_attribute("aria-sort")
        falling = ["2000.5", "1500", "300", "25.5", None]
        assert falling == order()
        page.keyboard.press("Space")
        assert "ascending" == head.get_attribute("aria-sort")
        assert [*falling[-2::-1], None] == order()
        table.locator("th[data-key=route] button").click()
        assert "none" == head.get_attribute("aria-sort")
        assert "ascending" == table.locator("th[data-key=route]").get_attribute("aria-sort")


def test_a_filter_hides_rows_without_its_text(browser: Browser, report: Path) -> None:
    """Case does not matter, and the label names the table."""
    with opened(browser, report.as_uri()) as page:
        page.get_by_label("Filter requests").fill("ITEMS")
        rows = page.locator("table[data-table=requests] tbody tr:visible")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("/items/{id}")
        page.locator("input[data-filter=requests]").fill("")
        expect(rows).to_have_count(5)


@pytest.mark.parametrize("table", ["requests", "errors"])
def test_a_door_opens_its_story_and_escape_closes_it(
    browser: Browser, report: Path, table: str
) -> None:
    """With the keyboard alone; the focus goes back to the door."""
    with opened(browser, report.as_uri()) as page:
        door = page.locator(f"[data-table={table}] [data-open-story]").first
        trace_id = door.get_attribute("data-open-story")
        story = page.locator(f'[data-story="{trace_id}"]')
        expect(story).to_have_count(0)
        door.focus()
        page.keyboard.press("Enter")
        expect(story).to_be_visible()
        page.keyboard.press("Escape")
        expect(story).to_have_count(0)
        expect(door).to_be_focused()


def test_a_story_has_its_cause_items_to_scale_and_lines(browser: Browser, told: Path) -> None:
    """The call belongs to its request; the caller in another service is called a guess."""
    with opened(browser, told.as_uri()) as page:
        expect(page.locator("[data-error]").first).to_contain_text("CardDeclined")
        expect(page.locator("[data-error]").first).to_contain_text("/srv/shop/pay.py:12 charge")
        gateway = page.locator("[data-item]", has_text="GET /orders")
        shop = page.locator("[data-item]", has_text="GET /</script>")
        call = page.locator("[data-kind=llm]")
        assert gateway.get_attribute("data-item") == shop.get_attribute("data-parent")
        assert shop.get_attribute("data-item") == call.get_attribute("data-parent")
        expect(shop).to_contain_text("a guess")
        widths = [
            item.locator("[data-bar]").evaluate("bar => bar.getBoundingClientRect().width")
            for item in (gateway, shop, call)
        ]
        assert pytest.approx(2000.5 / 1500, rel=0.02) == widths[0] / widths[1]
        assert pytest.approx(1500 / 600, rel=0.02) == widths[1] / widths[2]
        lines = page.locator("table[data-table=lines] tbody tr")
        assert 5 == lines.count()
        page.get_by_label("Filter lines").fill("gateway")
        expect(lines.locator("visible=true")).to_have_count(1)


@pytest.mark.parametrize("name", ["report", "story"])
def test_a_narrow_dark_screen_shows_all(
    browser: Browser, report: Path, told: Path, name: str
) -> None:
    """At 360 px nothing but the tables scrolls sideways, and the ground is dark."""
    url = (report if name == "report" else told).as_uri()
    size = {"width": 360, "height": 740}
    with opened(browser, url, viewport=size, color_scheme="dark") as page:
        assert 360 == page.evaluate("document.documentElement.scrollWidth")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert "rgb(13, 17, 23)" == ground
        page.emulate_media(color_scheme="light")
        page.wait_for_function(
            "getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'"
        )


def test_a_live_page_follows_the_lines(browser: Browser, tmp_path: Path) -> None:
    """New rows come without a reload; a story is asked for, and the focus survives a change."""
    memory = Memory({"files": 1, "lines": 0, "foreign": 0, "torn": 0})
    server = Server("127.0.0.1", 0, memory)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    log = tmp_path / "shop.log"

    def add(lines: list[dict[str, Any]]) -> None:
        for one in Reader(find([str(write_log(log, lines))])).lines():
            memory.add(one)
        memory.notify()

    try:
        with opened(browser, server.address) as page:
            rows = page.locator("table[data-table=requests] tbody tr")
            expect(rows).to_have_count(0)
            add(HOSTILE)
            expect(rows).to_have_count(5)
            door = rows.locator(f'[data-open-story="{TRACE}"]').first
            door.focus()
            page.keyboard.press("Enter")
            expect(page.locator(f'[data-story="{TRACE}"]')).to_contain_text(MARKUP)
            add([{**HOSTILE[-1], "route": "/new"}])
            expect(rows).to_have_count(6)
            page.keyboard.press("Escape")
            expect(page.locator("[data-open-story]:focus")).to_have_count(1)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_labels_of_charts_are_whole_and_apart(browser: Browser, tmp_path: Path, run: Run) -> None:
    """Small costs fit beside their axis, and times with seconds stand side by side."""
    cheap = [call(second, 10, cost_usd=0.00006) for second in range(35)]
    log, html = write_log(tmp_path / "shop.log", cheap), tmp_path / "report.html"
    run("report", log, "--html", html)
    with opened(browser, html.as_uri()) as page:
        page.add_init_script("""
            const write = CanvasRenderingContext2D.prototype.fillText;
            window.written = [];
            CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
              window.written.push([text, x, this.measureText(text).width]);
              return write.call(this, text, x, ...rest);
            };
        """)
        page.reload()
        written = page.evaluate("window.written")
    costs = [(x, width) for text, x, width in written if text.startswith("$0.0000")]
    assert [] != costs
    assert [] == [x for x, width in costs if x < width]
    times = [(x, width) for text, x, width in written if text.startswith("08:00:")]
    assert len(times) > 1
    gaps = [(other - x, width) for (x, width), (other, _) in pairwise(times) if other > x]
    assert [] == [gap for gap, width in gaps if gap < width]


def test_an_item_shows_what_has_slowed_it(browser: Browser, tmp_path: Path, run: Run) -> None:
    """Blocked loops, repeated statements and retries are beside the bars; a killed worker, too."""
    lines = [
        request(2, 1500, loop_blocked_ms=544.4, db_repeats=15, db_repeated="SELECT ?"),
        line(2.1, service="worker"),
    ]
    log, html = write_log(tmp_path / "shop.log", lines), tmp_path / "story.html"
    run("story", TRACE, log, "--html", html)
    with opened(browser, html.as_uri()) as page:
        item = page.locator("[data-item]")
        expect(item).to_contain_text("loop blocked 544.4 ms · db repeats 15 · db repeated SELECT ?")
        expect(page.locator("main")).to_contain_text("worker: no request, task or call has ended")


def test_a_screen_reader_finds_names(browser: Browser, report: Path) -> None:
    """Charts, tables, filters and doors have names that say what they are."""
    with opened(browser, report.as_uri()) as page:
        tree = page.locator("body").aria_snapshot()
        for chart in ("Requests and errors", "Latency of requests", "Cost of LLM calls by model"):
            assert f'figure "{chart}"' in tree
        assert 'img "Time to first token: p50 up to 90.5 ms, p95 up to 90.5 ms"' in tree
        assert 'searchbox "Filter errors"' in tree
        assert f'button "Open the story of {CALLER}' in tree
        for table in ("Requests", "Errors", "LLM calls"):
            assert f'table "{table}"' in tree
        for name in ("requests", "latency", "cost", "ttft"):
            expect(page.locator(f"figure[data-chart={name}] canvas")).to_have_count(1)
