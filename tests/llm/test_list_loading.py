"""The price list is loaded in the background, once per process, and never within a call."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument, llm_call
from pantheon_obs.core import guard
from pantheon_obs.llm.cost.price_list_loader import loader
from tests.support import uwsgi

if TYPE_CHECKING:
    from pathlib import Path

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

LISTED = {"model": "gpt-4o-mini", "usage": {"input_tokens": 1000, "output_tokens": 200}}
# A list that cannot be loaded before the file "go" is there.
SLOW = """
import pathlib, time
go = pathlib.Path(__file__).with_name("go")
while not go.exists():
    time.sleep(0.001)
raise RuntimeError("broken")
"""


@pytest.fixture
def slow_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unloaded: None) -> Path:
    """Install a list that waits for a file; return the path of that."""
    (tmp_path / "genai_prices.py").write_text(SLOW)
    for name in [name for name in sys.modules if name.partition(".")[0] == "genai_prices"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "go"


def test_a_call_does_not_wait_for_it(slow_list: Path, events: Events) -> None:
    """It has no price. If the list cannot be loaded, that is reported once."""
    generate = llm_call(lambda: LISTED)
    generate()
    generate()
    slow_list.touch()
    loader.wait()
    generate()

    assert [(None, 1)] * 3 == [(event.cost_usd, event.unpriced) for event in events]
    assert frozenset({"genai_prices"}) == guard.reported()
    guard.forget()


def test_nothing_is_loaded_for_prices_that_never_ask_for_it(
    slow_list: Path, events: Events
) -> None:
    """A function's answer is final."""
    llm_call(prices=lambda _: 1)(lambda: LISTED)()

    assert loader.waiting
    assert "genai_prices" not in sys.modules


@pytest.mark.parametrize("has_client", [True, False])
def test_sdks_never_find_half_a_module(
    slow_list: Path, monkeypatch: pytest.MonkeyPatch, *, has_client: bool
) -> None:
    """OpenAI's uses `sys.modules["httpx2"]` if it is there, be it half imported by a thread."""
    package = slow_list.with_name("genai_prices.py")
    package.write_text(f"import httpx2\n{package.read_text()}")
    slow_list.with_name("httpx2.py").write_text("import threading\nident = threading.get_ident()\n")
    slow_list.with_name("httpx.py").touch()
    for name in ("httpx", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)
        if has_client or name == "httpx2":
            del sys.modules[name]
    llm_call(lambda: LISTED)
    assert has_client is ("httpx2" in sys.modules)
    assert sys.modules.get("httpx") is None  # an SDK may import it later
    loader.load()
    slow_list.touch()
    loader.wait()

    assert has_client is (threading.get_ident() == sys.modules["httpx2"].ident)
    assert frozenset({"genai_prices"}) == guard.reported()
    guard.forget()


def test_an_application_that_has_started_has_it(unloaded: None) -> None:
    """The thread begins when the server starts the application, after it has forked."""
    pytest.importorskip("genai_prices")
    app = instrument(lambda environ, start_response: [])

    assert loader.waiting
    list(app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None))
    loader.wait()
    assert loader.prices is not None


def test_the_process_that_uwsgi_forks_loads_nothing(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker would hang for good if its parent was loading it when it was forked."""
    pytest.importorskip("genai_prices")
    be_worker = uwsgi.load(monkeypatch)
    llm_call(lambda: LISTED)()
    loader.wait()
    assert loader.prices is None

    be_worker()
    llm_call(lambda: LISTED)()
    loader.wait()
    assert loader.prices is not None


def test_what_the_application_has_imported_is_used_at_once(genai: Any, events: Events) -> None:
    """So the first call of a script has a price, too."""
    llm_call(lambda: LISTED)()

    assert [0.00027] == [event.cost_usd for event in events]


def test_a_thread_that_cannot_start_leaves_calls_without_prices(
    slow_list: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python refuses new threads while it ends."""

    def refuse(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("pantheon_obs.llm.cost.price_list_loader.Thread.start", refuse)
    llm_call(lambda: LISTED)()

    assert [None] == [event.cost_usd for event in events]
    assert frozenset({"genai_prices"}) == guard.reported()
    guard.forget()


def test_a_version_that_computes_in_another_way_is_not_used(
    genai: Any, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library computes prices itself, and compares some with the list's own."""
    calc_price = genai.calc_price

    def double(*args: Any, **more: Any) -> Any:
        found = calc_price(*args, **more)
        found.total_price *= 2
        return found

    monkeypatch.setattr(genai, "calc_price", double)
    llm_call(lambda: LISTED)()

    assert [None] == [event.cost_usd for event in events]
    assert frozenset({"genai_prices"}) == guard.reported()
    guard.forget()


FORKS = """
import os
from pantheon_obs import llm_call
from pantheon_obs.llm.cost.price_list_loader import loader
from pantheon_obs.testing import capture_events

answer = {"model": "gpt-4o-mini", "usage": {"input_tokens": 1000, "output_tokens": 200}}
with capture_events() as events:
    llm_call(lambda: answer)()
    if os.fork() == 0:
        llm_call(lambda: answer)()
        os._exit(events[-1].get("cost_usd") != 0.00027)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""


def test_a_fork_waits_until_it_is_loaded() -> None:
    """A module that is half imported could never be imported in the forked process."""
    pytest.importorskip("genai_prices")
    subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=60)


AT_THE_END = """
import builtins
from pantheon_obs import configure_logging, llm_call
from pantheon_obs.llm.cost.price_list_loader import loader

loader.load()
loader.wait()
configure_logging(log_format="json")

@llm_call
def stream():
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    choice = {"delta": {"content": "Paris."}, "finish_reason": "stop"}
    yield {"model": "gpt-4o-mini", "choices": [choice], "usage": usage}

builtins.kept = stream()  # the interpreter empties this module last
next(builtins.kept)
"""


def test_the_end_of_the_interpreter_is_no_failure(genai: Any) -> None:
    """A call that ends then is reported without a price: the list cannot compute any more."""
    ended = subprocess.run(
        [sys.executable, "-c", AT_THE_END], capture_output=True, text=True, check=True, timeout=60
    )

    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [("llm.stream", "ok")] == [(line["event"], line.get("outcome")) for line in lines]


def test_nor_is_one_of_the_prices_of_the_application(
    monkeypatch: pytest.MonkeyPatch, events: Events
) -> None:
    """They may need modules that are gone then."""
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    llm_call(prices=lambda _: 1 / 0)(lambda: LISTED)()

    assert [1] == [event.unpriced for event in events]
    assert frozenset() == guard.reported()


class TestNames:
    """A model's name as a price is checked as soon as the list is there."""

    def test_one_that_is_not_listed_is_reported_where_it_is_given(self, genai: Any) -> None:
        """The warning points to the line with the prices; a listed model gives none."""
        loader.load()
        with pytest.warns(UserWarning, match=r"^prices\['typo'\]='gpt-4o-minni' is no ") as warned:
            llm_call(prices={"fast": "gpt-4o-mini", "typo": "gpt-4o-minni"})

        assert [__file__] == [warning.filename for warning in warned]

    def test_nothing_is_loaded_for_the_check(self, genai: Any) -> None:
        """Decoration may happen in a request, or before a fork."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            llm_call(prices={"typo": "gpt-4o-minni"})
        assert loader.waiting

        with pytest.warns(UserWarning, match="'gpt-4o-minni' is no model") as warned:
            loader.load()
        assert [__file__] == [warning.filename for warning in warned]

    def test_it_is_looked_up_at_its_provider(self, genai: Any) -> None:
        """A model of another vendor has no price there."""
        loader.load()
        with pytest.warns(UserWarning, match="'gpt-4o-mini' is no model of anthropic that"):
            llm_call(provider="anthropic", prices={"fast": "gpt-4o-mini"})
