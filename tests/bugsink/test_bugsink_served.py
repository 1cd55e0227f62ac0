"""Sentry, end to end: real applications under real servers, and a server of its protocol.

Each application is started, gets its requests and is stopped; then its stored events are read. So
"one event" means that no second one came until the application had ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.adapters.contract import PACKAGES
from tests.apps.failures import SECRET
from tests.bugsink import outages
from tests.bugsink.bugsink import Bugsink, NotInstallableError
from tests.bugsink.hosts import HOSTS
from tests.bugsink.services import AT_ONCE, KINDS
from tests.bugsink.stories import (
    DEBUG,
    FAILURES,
    LOGGED,
    NO_FAILURES,
    PARTIES,
    PLAIN,
    WAYS_TO_FAIL,
    Story,
    error_of,
    places_of,
    request_of,
    run,
    tag_of,
)
from tests.support import django
from tests.support.lines import parse_line
from tests.support.server import ROOT, SECONDS, Server, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from examples.databases import Redis

for package in ("sentry_sdk", *PACKAGES):
    pytest.importorskip(package)
pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.fixture(scope="module")
def bugsink() -> Iterator[Bugsink]:
    """Start Bugsink, with a project for each application."""
    with Bugsink([*KINDS, "preloaded", "command", "task"]) as bugsink:
        try:
            bugsink.wait_until_ready()
        except NotInstallableError as error:
            pytest.skip(f"NOTHING IS TESTED AGAINST BUGSINK: uv could not install it: {error}")
        yield bugsink


@pytest.fixture(scope="module")
def stories(bugsink: Bugsink) -> dict[str, Story]:
    """Run all applications."""
    names = [*KINDS, "preloaded"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(partial(run, bugsink), names), strict=True))


@pytest.fixture(params=KINDS)
def story(request: pytest.FixtureRequest, stories: dict[str, Story]) -> Story:
    """Return the story of one application."""
    return stories[request.param]


def test_a_failing_request_makes_one_event_with_its_error_request_and_user(story: Story) -> None:
    """It has the error's type, the request, the user, and the id of the response and the lines."""
    [event] = story.events_of(DEBUG)
    answer = story.answer(DEBUG)

    assert 500 == answer.status
    assert ("ZeroDivisionError", "division by zero") == error_of(event)
    assert ("POST", story.service.url_of(DEBUG)) == request_of(event)
    assert {"id": "user-7"} == event["user"]
    [finished] = [
        line
        for line in story.service.lines_of(answer.trace_id)
        if line["event"] == "request_finished"
    ]
    assert ("ZeroDivisionError", "user-7") == (finished["error_type"], finished["user_id"])


@pytest.mark.parametrize(("story", "path"), WAYS_TO_FAIL, indirect=["story"])
def test_each_other_way_to_fail_makes_one_event_with_the_requests_id(
    story: Story, path: str
) -> None:
    """A streaming body, a background task, a thread, and a line of structlog's."""
    trace_id, kind = FAILURES[path]
    [event] = story.events_of(path)

    assert trace_id == story.answer(path).trace_id
    assert kind == event["exception"]["values"][-1]["type"]
    assert ("GET", story.service.url_of(path)) == request_of(event)
    assert story.service.lines_of(trace_id)


def test_errors_that_are_logged_are_one_issue_by_the_events_name(story: Story) -> None:
    """Each has its fields in `extra`; a difference in them makes no second issue."""
    for paths, message in ((LOGGED, "payment_failed"), (list(PLAIN), "stock_low")):
        found = [story.events_of(path)[0] for path in paths]
        orders = [int(path[-1]) for path in paths]

        assert [message] * len(paths) == [event["logentry"]["message"] for event in found]
        assert orders == [event["extra"]["order"] for event in found]
        [issue] = [events for events in story.issues.values() if found[0] in events]
        assert sorted(orders) == sorted(event["extra"]["order"] for event in issue)


def test_concurrent_failures_keep_their_own_ids(story: Story) -> None:
    """When requests fail at the same moment, each event has its own id and message."""
    expected = {story.answer(f"/meet/{party}").trace_id: ("ValueError", party) for party in PARTIES}
    parties = {("ValueError", party) for party in PARTIES}
    found = {tag_of(event): error_of(event) for event in story.events if error_of(event) in parties}

    assert len(PARTIES) == len(expected)
    assert expected == found


def test_nothing_else_becomes_an_event(story: Story) -> None:
    """A handled 503, a failed LLM call, start and end are lines; no failure is sent twice."""
    expected = Counter(
        answer.trace_id for path, answer in story.service.answers.items() if path not in NO_FAILURES
    )

    assert expected == Counter(tag_of(event) for event in story.events)
    for path, event in (("/unavailable", "request_finished"), ("/llm", "llm.ask")):
        lines = story.service.lines_of(NO_FAILURES[path])
        assert ["error"] == [line["level"] for line in lines if line["event"] == event]


def test_no_secret_is_stored(story: Story) -> None:
    """No event has a query value, cookie, credential, body, local variable or redacted field."""
    assert places_of("dividing", story.events)  # the lines before, which had secrets too
    assert [] == places_of(SECRET, story.events)
    assert [] == [
        frame
        for event in story.events
        for error in (event.get("exception") or {"values": []})["values"]
        for frame in error["stacktrace"]["frames"]
        if frame.get("vars")
    ]


def test_nothing_is_printed_on_standard_error(story: Story) -> None:
    """Nothing while it runs, and nothing at its end, when Sentry sends the last events."""
    assert [] == story.service.err


def test_sentrys_own_trace_is_ours(story: Story) -> None:
    """If the id is 32 hexadecimal digits or a UUID, Sentry's links lead to the same trace."""
    paths = [path for path in story.service.answers if path not in (*LOGGED, *PLAIN, *NO_FAILURES)]
    expected = {path: UUID(story.answer(path).trace_id).hex for path in paths}

    assert expected == {
        path: event["contexts"]["trace"]["trace_id"]
        for path in paths
        for event in story.events_of(path)
    }


def test_forked_workers_send_their_events_too(stories: dict[str, Story]) -> None:
    """Sentry was started before the fork; each worker's event arrives, with its request's id."""
    story = stories["preloaded"]

    assert 4 == len({error_of(event) for event in story.events})  # each with its process's number
    assert {answer.trace_id for answer in story.service.answers.values()} == {
        tag_of(event) for event in story.events
    }
    assert [] == story.service.err


def test_a_failing_management_command_makes_one_event_with_its_lines_id(bugsink: Bugsink) -> None:
    """A command has a trace of its own; its event is sent before its process ends."""
    env = {
        "SENTRY_DSN": bugsink.dsns["command"],
        "no_proxy": "127.0.0.1",
    }
    status, printed, err = django.run("divide", env=env)
    [[event]] = bugsink.issues("command").values()
    said = {
        json.loads(line)["trace_id"] for line in err.splitlines() if '"event":"dividing"' in line
    }

    assert (1, []) == (status, printed)
    assert err.endswith("\nZeroDivisionError: division by zero\n")
    assert 1 == err.count("Traceback")
    assert {tag_of(event)} == said
    assert ("ZeroDivisionError", "division by zero") == error_of(event)
    assert [] == places_of(SECRET, event)


PUBLISH = f"""
from pantheon_obs import trace_context
from tests.bugsink.apps.tasks import divide
with trace_context("order-7"):
    divide.delay("{SECRET}")
"""


def test_a_failing_task_makes_one_event_with_its_publishers_id(
    bugsink: Bugsink, redis_server: Redis
) -> None:
    """A try that is followed by another is no event, the last one is; no argument is sent."""
    pytest.importorskip("celery")
    pytest.importorskip("redis")
    env = {
        "BROKER_URL": redis_server.url,
        "SENTRY_DSN": bugsink.dsns["task"],
        "no_proxy": "127.0.0.1",
    }
    options = ("--pool", "solo", "--without-mingle", "--without-gossip")
    with Server(
        "celery", "--quiet", "-A", "tests.bugsink.apps.tasks", "worker", *options, env=env
    ) as worker:
        subprocess.run(
            [sys.executable, "-c", PUBLISH], cwd=ROOT, env={**environment(), **env}, check=True
        )
        bugsink.wait_for("task", 1)
    [[event]] = bugsink.issues("task").values()
    # At its end Celery prints a text that does not pass through logging.
    lines = [parse_line(line.encode()) for line in worker.out]
    finished = [line for line in lines if line["event"] == "task_finished"]

    assert "order-7" == tag_of(event)
    assert ("ZeroDivisionError", "division by zero") == error_of(event)
    assert [("RETRY", "order-7"), ("FAILURE", "order-7")] == [
        (line["state"], line["trace_id"]) for line in finished
    ]
    assert [] == places_of(SECRET, event)
    assert "pending events" not in "".join(worker.err)  # as Sentry prints at exit by default


@pytest.fixture(scope="module")
def observed() -> dict[tuple[str, str], outages.Observed]:
    """Run the applications with the DSN of each host, and without one."""
    return outages.observe()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", outages.SERVED)
def test_a_host_that_fails_changes_nothing(
    observed: dict[tuple[str, str], outages.Observed], kind: str, host: str
) -> None:
    """Answers and lines are the same as without Sentry, and the application stops as fast.

    Each answer came while the host had answered nothing: no request waited for it.
    """
    without, found = observed[kind, outages.NO_HOST], observed[kind, host]

    assert without.answers == found.answers
    assert without.lines == found.lines
    assert [] == found.err
    assert without.status == found.status
    assert found.seconds_to_stop < SECONDS
