"""The requests to each application, with its answers, its lines and its stored events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.apps import failures
from tests.bugsink.services import KINDS, PRELOADED, Service

if TYPE_CHECKING:
    from tests.bugsink.bugsink import Bugsink
    from tests.bugsink.services import Answer

Events = list[dict[str, Any]]

DEBUG = "/sentry-debug/"
BACKGROUND = "/background-boom/200"
# The path, the id that the request brings, and the type of the one event.
FAILURES = {
    "/broken-stream": (uuid4().hex, "RuntimeError"),
    BACKGROUND: (str(uuid4()), "LookupError"),
    "/carried": (uuid4().hex, "KeyError"),
    "/logged?how=error&order=1": ("order:1", "ConnectionError"),
    "/logged?how=error&order=2": ("order:2", "ConnectionError"),
    "/logged?how=exception&order=3": ("order:3", "ConnectionError"),
}
WAYS_TO_FAIL = [
    (name, path)
    for name, kind in KINDS.items()
    for path in FAILURES
    if path != BACKGROUND or kind.in_background
]
LOGGED = [path for path in FAILURES if path.startswith("/logged")]
PLAIN = {f"/logged?how=plain&order={order}": f"order:{order}" for order in (4, 5)}
PARTIES = tuple(f"party-{number}" for number in range(failures.PARTIES))
NO_FAILURES = {"/unavailable": uuid4().hex, "/llm": uuid4().hex}


class Story:
    """An application that has ended, with its stored events.

    Attributes:
        service: The application.
        issues: Its events, by issue.
        events: All of them.
    """

    def __init__(self, service: Service, issues: dict[str, Events]) -> None:
        """Collect all events."""
        self.service = service
        self.issues = issues
        self.events = [event for events in issues.values() for event in events]

    def answer(self, path: str) -> Answer:
        """Return the answer to a path."""
        return self.service.answers[path]

    def events_of(self, path: str) -> Events:
        """Return the events with the id of this response."""
        trace_id = self.answer(path).trace_id
        return [event for event in self.events if tag_of(event) == trace_id]


def tag_of(event: dict[str, Any]) -> str | None:
    """Return the trace id of an event's tag."""
    found: str | None = event.get("tags", {}).get("trace_id")
    return found


def error_of(event: dict[str, Any]) -> tuple[str, str] | None:
    """Return type and message of an event's exception, the last one of a chain."""
    chain = (event.get("exception") or {}).get("values")
    return (chain[-1]["type"], chain[-1]["value"]) if chain else None


def request_of(event: dict[str, Any]) -> tuple[str, str]:
    """Return method and URL of an event's request."""
    return event["request"]["method"], event["request"]["url"]


def places_of(text: str, stored: Any, path: str = "") -> list[str]:
    """List the places of a text in stored data, in names as well as in values."""
    if not isinstance(stored, (dict, list)):
        return [path] if text in str(stored) else []
    items = stored.items() if isinstance(stored, dict) else enumerate(stored)
    within = [places_of(text, value, f"{path}/{name}") for name, value in items]
    named = [f"{path}/{name}" for name in stored if text in str(name)]
    return sum(within, named if isinstance(stored, dict) else [])


def run(bugsink: Bugsink, name: str) -> Story:
    """Start an application, send it requests, and stop it."""
    with Service(KINDS.get(name, PRELOADED), SENTRY_DSN=bugsink.dsns[name]) as service:
        service.server.wait_until_ready()
        if name in KINDS:
            _ask_everything(name, service)
        else:
            service.ask_at_once(PARTIES[:4])
        failed = [path for path in service.answers if path not in NO_FAILURES]
        bugsink.wait_for(name, len(failed))
    return Story(service, bugsink.issues(name))


def _ask_everything(name: str, service: Service) -> None:
    service.ask(DEBUG, method="POST")
    for kind, path in WAYS_TO_FAIL:
        if kind == name:
            service.ask(path, FAILURES[path][0])
    for path, trace_id in {**PLAIN, **NO_FAILURES}.items():
        service.ask(path, trace_id)
    service.ask_at_once(PARTIES)
