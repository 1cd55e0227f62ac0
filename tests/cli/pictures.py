"""Make the pictures of docs/report.md: `python -m tests.cli.pictures`."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from playwright.sync_api import sync_playwright

from pantheon_obs.cli.main import main
from tests.cli.pages import call, request, write_log

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.12/site-packages/starlette/routing.py", line 75, in app
    response = await f(request)
  File "/srv/shop/shop/orders.py", line 41, in place
    await charge(order)
  File "/srv/shop/shop/payment.py", line 17, in charge
    raise CardDeclined("the card was declined")
shop.payment.CardDeclined: the card was declined"""
ROUTES = (("GET", "/items/{id}", 30), ("POST", "/orders", 120), ("POST", "/chat/{id}", 900))
SECONDS = 2400


def hour() -> list[dict[str, Any]]:
    """Make the lines of a shop whose payments fail for a while."""
    chance = random.Random(3)  # noqa: S311 - the same pictures each time
    lines = []
    for number in range(3000):
        second = SECONDS * number / 3000
        trace = {"trace_id": str(UUID(int=chance.getrandbits(128)))}
        method, route, usual = chance.choice(ROUTES)
        latency = round(usual * chance.lognormvariate(0, 0.6), 3)
        if route == "/chat/{id}":
            model = chance.choice(["gpt-5", "claude-sonnet", "mistral-small"])
            tokens = chance.randint(200, 4000)
            lines.append(
                at(
                    call(
                        0,
                        latency * 0.9,
                        model_alias=model,
                        input_tokens=tokens,
                        cost_usd=tokens * len(model) / 2e6,
                        ttft_ms=round(latency * 0.2, 3),
                        finish_reason=chance.choice(["stop", "stop", "length"]),
                        **trace,
                    ),
                    second - 0.01,
                )
            )
        fails = route == "/orders" and SECONDS / 3 < second < SECONDS / 2 and chance.random() < 0.5
        failure = {"level": "error", "error_type": "CardDeclined", "exception": TRACEBACK}
        fields = {"route": route, "method": method, "db_calls": 3, "db_ms": latency / 10, **trace}
        fields |= {"own_ms": latency / 4, "status_code": 500 if fails else 200}
        lines.append(at(request(0, latency, **fields, **(failure if fails else {})), second))
    return lines


def at(line: dict[str, Any], second: float) -> dict[str, Any]:
    """Give a line a time within the hour."""
    minutes, rest = divmod(max(second, 0), 60)
    return {**line, "timestamp": f"2026-11-29T08:{int(minutes):02}:{rest:09.6f}Z"}


def make() -> None:
    """Write the pages, and take their pictures."""
    folder = Path(tempfile.mkdtemp())
    log = write_log(folder / "shop.log", hour())
    page_file = folder / "report.html"
    main(["report", str(log), "--html", str(page_file)])
    PICTURES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 820})
        page.goto(page_file.as_uri())
        page.screenshot(path=PICTURES / "report.png")
        page.locator("[data-table=errors] [data-open-story]").first.click()
        page.screenshot(path=PICTURES / "story.png")
        page.keyboard.press("Escape")
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 360, "height": 740})
        page.screenshot(path=PICTURES / "narrow.png")
        browser.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    make()
