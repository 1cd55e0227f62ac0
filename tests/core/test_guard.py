"""The guard swallows and reports our exceptions; missing packages; the sinks."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import MissingExtraError, instrument
from pantheon_obs.core import guard, pipeline
from pantheon_obs.core.context import Trace, begin, end
from pantheon_obs.core.errors import require
from pantheon_obs.testing import capture_events

if TYPE_CHECKING:
    from pantheon_obs.core.events import Ended


def test_an_exception_of_ours_is_swallowed_and_reported_once_per_site() -> None:
    """The first failure at a site is logged with its traceback; later ones are not logged."""
    site, other = guard.Guard("one site"), guard.Guard("another site")
    with capture_events() as events:
        for at in (site, site, other):
            with at:
                raise ZeroDivisionError

    assert [
        ("telemetry_failed", "error", "one site"),
        ("telemetry_failed", "error", "another site"),
    ] == [(event["event"], event["level"], event["site"]) for event in events]
    assert all("ZeroDivisionError" in event["exception"] for event in events)
    assert {"one site", "another site"} == guard.reported()


def test_whoever_looks_at_a_fact_and_fails_is_reported_and_the_fact_goes_on() -> None:
    """Each sink gets it."""

    def look(trace: Trace, event: Ended) -> None:
        raise ZeroDivisionError

    pipeline.before_end(look)
    try:
        with capture_events() as events:
            asyncio.run(instrument(nothing)({"type": "http", "method": "GET"}, nothing, nothing))
    finally:
        pipeline.no_more_before_end(look)
    names = [event["event"] for event in events]
    assert ["telemetry_failed", "request_finished"] == names[-2:]


async def nothing(*_: Any) -> None:
    """Serve and send nothing."""


def end_the_work(*_: object) -> None:
    """Handle a signal."""
    raise ZeroDivisionError


class Limit:
    """Handles a signal, and refuses to say what it has."""

    def __getattr__(self, name: str) -> object:
        """Fail."""
        raise LookupError

    def __call__(self, *_: object) -> None:
        """Handle a signal."""
        raise ZeroDivisionError

    end = __call__


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(end_the_work, id="function"),
        pytest.param(Limit().end, id="method"),
        pytest.param(partial(partial(end_the_work, 1), 2), id="partial"),
        pytest.param(Limit(), id="object"),
        pytest.param(partial(Limit(), 1), id="partial of an object"),
    ],
)
def test_an_exception_of_a_signal_handler_passes(handler: Any) -> None:
    """Queues and applications limit the time of their work so, whatever code runs then."""
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(ZeroDivisionError), guard.Guard("a site"):
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert frozenset() == guard.reported()


def test_a_failure_that_was_reported_before_costs_few_calls() -> None:
    """It may come with each request. Asking `signal` for each handler took over 400."""
    site, calls = guard.Guard("a site"), 0

    def count(_frame: object, event: str, _value: object) -> None:
        nonlocal calls
        calls += event == "call"

    for profile in (None, count):
        sys.setprofile(profile)
        try:
            with site:
                raise ZeroDivisionError
        finally:
            sys.setprofile(None)

    assert 30 > calls


@pytest.mark.parametrize(
    "raised", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit]
)
def test_cancellation_and_interrupts_pass(raised: type[BaseException]) -> None:
    """The guard swallows `Exception`, never `BaseException`."""
    with pytest.raises(raised), guard.Guard("site"):
        raise raised

    assert frozenset() == guard.reported()


def test_a_report_that_fails_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure cannot be reported, and the application goes on."""

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(logging.getLogger("pantheon_obs.guard"), "error", fail)

    with guard.Guard("site"):
        raise KeyError


class Refusing(Exception):  # noqa: N818 - not an error of ours
    """An exception without attributes."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        raise AttributeError


def test_a_missing_package_is_named_with_the_line_that_installs_it() -> None:
    """The error names the feature, the missing package and the command that installs it."""
    with pytest.raises(MissingExtraError) as missing:
        require("no_such_package.part", extra="sentry", feature="sending errors")

    assert (
        "sending errors needs the package 'no_such_package.part', which is not installed: "
        "pip install 'pantheon-obs[sentry]'" == str(missing.value)
    )
    assert "no_such_package.part" == missing.value.name


def test_a_package_that_lacks_something_itself_is_another_failure(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's own import error passes, because it is more precise than ours."""
    (tmp_path / "lacking_package.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as failed:
        require("lacking_package", extra="sentry", feature="sending errors")

    assert not isinstance(failed.value, MissingExtraError)


def test_a_package_that_is_there_is_imported() -> None:
    """`require` returns a package that is installed."""
    assert logging is require("logging", extra="none", feature="this test")


class Collector:
    """Keeps each trace and event that it gets."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kept: list[Any] = []

    def started(self, trace: Any) -> None:
        """Keep a trace that has begun."""
        self.kept.append(trace)

    def ended(self, trace: Any) -> None:
        """Keep a trace that has ended."""
        self.kept.append(trace)

    def handle(self, event: Any) -> None:
        """Keep an event."""
        self.kept.append(event)


def test_a_sink_that_fails_to_tell_its_id_is_reported_once() -> None:
    """The request gets a fresh id."""

    class Broken(Collector):
        """Fails to adopt."""

        def adopt(self, headers: Any, trusted: bool) -> str | None:  # noqa: FBT001 - as core calls it
            """Fail."""
            raise ZeroDivisionError

    pipeline.add_sink(Broken("a"))

    assert None is pipeline.adopted_id((), trusted=True)
    assert frozenset({"sink a"}) == guard.reported()


@pytest.mark.parametrize("made", ["two words", "", b"id", object()])
def test_a_sink_that_tells_no_valid_id_is_reported(made: object) -> None:
    """A back-end's value reaches headers and log lines only if it is a valid id."""

    class Odd(Collector):
        """Adopts anything."""

        def adopt(self, headers: Any, trusted: bool) -> Any:  # noqa: FBT001 - as core calls it
            """Return the value."""
            return made

    pipeline.add_sink(Odd("a"))

    assert None is pipeline.adopted_id((), trusted=True)
    assert frozenset({"sink a"}) == guard.reported()


def test_each_sink_gets_the_same_value_and_a_name_is_there_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second sink of one name replaces the first; a removed sink gets nothing."""
    monkeypatch.setattr(pipeline, "sinks", ())
    old, new, other, gone = (Collector(name) for name in ("a", "a", "b", "c"))
    for sink in (old, other, gone, new):
        pipeline.add_sink(sink)
    pipeline.remove_sink("c")
    fact: Any = object()

    trace = Trace("t")

    begin(trace)
    pipeline.started(trace)
    pipeline.emit(fact)
    end(trace)

    assert [trace, fact, trace] == new.kept == other.kept
    assert [] == old.kept == gone.kept
