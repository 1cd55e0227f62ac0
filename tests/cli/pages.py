"""Logs for the tests of the pages, full of markup that must stay text, and a browser."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

MARKUP = "</script><script>document.title='hacked'</script><img src=x onerror=alert(1)>&lt;b&gt;"
BIDI = "\u202egnp.exe\u202c \u2066x\u2069"
TRACE = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
CALLER = "11111111-77b3-4da6-a3ce-929d0e0e4736"
TRACEBACK = f"""Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in charge
    raise CardDeclined
shop.CardDeclined: {MARKUP}"""


def line(second: float, **fields: Any) -> dict[str, Any]:
    """Make a line of a second of one minute."""
    first = {
        "timestamp": f"2026-11-29T08:00:{second:09.6f}Z",
        "level": "info",
        "event": "order loaded",
        "logger": "shop",
        "trace_id": TRACE,
        "service": "shop",
    }
    return {**first, **fields}


def request(second: float, latency_ms: float | None, **fields: Any) -> dict[str, Any]:
    """Make the line of a request."""
    of_request = {
        "event": "request_finished",
        "logger": "pantheon_obs.request",
        "method": "GET",
        "path": "/",
        "outcome": "ok",
        **({} if latency_ms is None else {"latency_ms": latency_ms}),
    }
    return line(second, **{**of_request, **fields})


def call(second: float, latency_ms: float, **fields: Any) -> dict[str, Any]:
    """Make the line of an LLM call."""
    of_call = {
        "event": "llm.generate",
        "logger": "pantheon_obs.llm",
        "model_alias": "gpt-5",
        "latency_ms": latency_ms,
        "outcome": "ok",
        "cost_usd": 0.125,
        "input_tokens": 1000,
        "output_tokens": 20,
        "ttft_ms": 90.5,
        "usage_status": "reported",
    }
    return line(second, **{**of_call, **fields})


HOSTILE = [
    line(1, note=MARKUP, name=BIDI, long="y" * 1_000_000),
    call(2.9, 600, model_alias=MARKUP),
    line(2.95, level="error", exception=TRACEBACK, error_type="CardDeclined", event=BIDI),
    request(3, 1500, route=f"/{MARKUP}", level="error", service="shop"),
    request(3.2, 2000.5, route="/orders", service="gateway", level="error"),
    request(10, 25.5, route="/items/{id}", trace_id="fast:1"),
    request(11, 3.25, route="/items/{id}", trace_id="fast:2"),
    request(12, None, route="/me", trace_id="fast:3"),
    request(13, 300, route=f"/{BIDI}", trace_id=CALLER),
]


def write_log(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write lines as the library does."""
    texts = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in lines)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Open a page; nothing may be said on its console, and nothing may ask the network."""
    context = browser.new_context(**options)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(url)
    yield page
    context.close()
    assert [] == said
