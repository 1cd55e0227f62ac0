"""The state machine of one exchange; adapters feed it with facts.

An adapter translates its protocol into `started`, `part`, `complete`, `client_left`, `escaped`,
`returned`, `closed` and others, and sets no attribute of the exchange. The exchange notes the
times, decides the outcome once and emits the event.
"""

from __future__ import annotations

import sys
from logging import DEBUG, INFO
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.chains import is_requested
from pantheon_obs.core.context import Trace
from pantheon_obs.core.events import BackgroundFailed, RequestFinished
from pantheon_obs.core.facts import BODILESS, CLIENT_ERROR, SERVER_ERROR, Facts
from pantheon_obs.core.failures import escape, note, root_of, share_log
from pantheon_obs.core.finalizers import apart
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.outcome import decide, is_background, is_departure
from pantheon_obs.core.texts import status_of, text_of
from pantheon_obs.core.timing import add_open_calls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.core.events import Ended
    from pantheon_obs.core.outcome import Outcome

_guard = Guard("end of an exchange")


class Exchange(Trace, Facts):
    """One HTTP exchange from its first step to its event."""

    is_request = own_baggage = True
    path = ""  # without its query string
    event_pending = False  # whether the event is still to be emitted: never without a sink

    _mount = ""
    _route: str | None = None
    _raised: BaseException | None = None

    def __init__(self, trace_id: str, waits_for_close: bool = False) -> None:  # noqa: FBT001, FBT002 - one by keyword only takes longer
        # As `Trace.__init__`, without its call for each request.
        self.trace_id = trace_id
        self.started_at = perf_counter()
        self.bound = {}
        self.open_calls = set()
        self.listeners = ()
        # Read for each message: attributes of a class take five times as long.
        self.event_pending = self.response_started = False
        self.waits_for_close = waits_for_close  # the event comes later than the last byte

    def watch(self, method: str, path: str, mount: str, quiet_paths: frozenset[str]) -> None:
        """Have an event emitted at the end.

        The path has the prefix `mount`, where the server has mounted the application; a proxy may
        strip it, from the probes' paths too.
        """
        self.event_pending = True
        self.client_gone = self.streaming = self.replaced = False
        self.error = self.unhandled = None
        if type(method) is not str or type(path) is not str:
            method, path = text_of(method), text_of(path)
        self.method = method
        self.path = path
        if mount:
            self._mount = mount = text_of(mount)
            path = path.removeprefix(mount)
        self.quiet = path in quiet_paths

    def routed(self, template: str) -> None:
        """The application's router has matched the route with this template."""
        self._route = template

    def route(self) -> str | None:
        """The route's template; adapters that find it elsewhere override this."""
        return self._route

    def started(self, status: object, headers: Iterable[tuple[Any, Any]] = ()) -> None:
        """The response has started; the status is no number where the application sent none."""
        self.response_started = True
        if self.event_pending:
            self.left_early = self.client_gone
            self._headers = headers
            self.status_code = code = status_of(status)
            if code is not None and code >= SERVER_ERROR:
                self.error_at_start = sys.exc_info()[1]
            elif self.unhandled is not None and self.may_be_handled:
                self.unhandled = None

    def relayed_end(self, *, gone: bool) -> None:
        """A task group ends the body: the application may have failed before, and raise later.

        The client may have been `gone` before; a departure that came with the end is none.
        """
        self.client_gone = self.client_gone and gone
        self.relayed = self.waits_for_close = True

    def complete(self, at: float | None = None) -> None:
        """The last byte of the response was handed to the server, now or at that clock time."""
        self.response_complete = True
        self.last_byte = at or perf_counter()
        if self.client_gone and not (self.left_early or self.content_lost or self.relayed):
            self.client_gone = False  # it left when it had everything
        if self.streaming and self.first_byte is None:
            self.first_byte = self.last_byte
        if not self.waits_for_close and (self.status_code or 0) < SERVER_ERROR:
            self.finish()

    def closing(self) -> None:
        """The server begins to close the response: the application's work from now on is after it.

        The event of a 5xx waits still: the exception that caused it may escape.
        """
        if self.response_complete and (self.status_code or 0) < SERVER_ERROR:
            self.finish()

    def probed(self) -> None:
        """The request is a probe, whose event is at DEBUG."""
        self.quiet = True

    def connection_taken(self, sign: BaseException | None = None) -> None:
        """The application has answered on the server's connection itself.

        It may raise an exception as the sign of that, which is no failure.
        """
        self.taken_over = True
        if sign is not None:
            escape(sign, self, covered=True).settle()

    def note_unhandled(self, error: BaseException, *, may_be_handled: bool = False) -> None:
        """The framework answers an exception that nobody handled, and does not raise it.

        One that may have been handled was, if the response is no 5xx.
        """
        if self.says_departure(error):
            escape(error, self, covered=True).settle()
            return
        self.unhandled, self.may_be_handled = error, may_be_handled
        escape(error, self, covered=self.event_pending and not self.quiet)

    def says_departure(self, error: BaseException) -> bool:
        """Whether an exception of the application says no more than that the client has gone."""
        return is_departure(self, error)

    def may_escape(self, error: BaseException) -> bool:
        """Whether an exception that escapes is an ordinary end."""
        return self.says_departure(error)

    def escaped(self, error: BaseException) -> None:
        """The application has raised; the adapter raises the exception again."""
        if isinstance(error, GeneratorExit):  # its coroutine is closed: nothing comes after this
            apart(self._raised_by, error)
            apart(self.finish)
        else:
            self._raised_by(error)

    def _raised_by(self, error: BaseException) -> None:
        self.finish_open_calls()
        self.says_departure(error)  # nobody may have said it before
        escape(error, self, covered=True)
        root = root_of(error)
        self.requested = is_requested(root)
        if is_background(self, root):
            self.finish()
            self.background_failed(root)
            share_log(root, error)
        elif self.error is None:
            self.error, self._raised = root, error

    def returned(self) -> None:
        """The application's call has returned."""
        self.finish_open_calls()

    def shut_down(self) -> None:
        """The server stops in the middle of the application's work."""
        self.stopping = True
        self.finish_open_calls()
        self.finish()

    def closed(self) -> None:
        """The server has closed the response: before its last byte only if the client has gone."""
        if self.open_calls:
            self.closing()
            self.finish_open_calls()
        if self.response_started and not self.response_complete and self.error is None:
            if self.method == "HEAD" or self.status_code in BODILESS:
                self.response_complete = True
            else:
                self.client_left()
        if self.event_pending or self.error is not None:
            self.finish()

    def finish(self) -> None:
        """Decide the outcome and emit the event, unless that was done before."""
        outcome, error = decide(self)
        escaped, code = self.error, self.status_code or 0
        if escaped is not None and (self.requested or is_departure(self, escaped)):
            note(escaped).settle()
        is_usual = outcome == "ok" and escaped is None and code < CLIENT_ERROR
        if self.event_pending:
            self.event_pending = False
            wants = pipeline.wants
            try:
                if not (is_usual and wants) or wants(DEBUG if self.quiet else INFO) is not False:
                    pipeline.finished(self, self._event(outcome, error))
            except Exception as fault:  # noqa: BLE001 - the guard, without its cost
                report(_guard.site, fault)
        if is_usual:
            return
        if escaped is not None and self._raised is not None:
            share_log(escaped, self._raised)
        if outcome != "ok" or escaped is not None or code >= SERVER_ERROR:
            self._forget_errors()

    def _forget_errors(self) -> None:
        """Leave no cycle of exception, traceback, frame and exchange to the garbage collector."""
        self.error = self.unhandled = self.send_error = self.error_at_start = self._raised = None

    def _event(self, outcome: Outcome, error: BaseException | None) -> Ended:
        first = self.first_byte if self.streaming else None
        began, end = self.started_at, self.last_byte or perf_counter()
        event = RequestFinished.__new__(RequestFinished)
        event.trace_id, event.bound = self.trace_id, self.bound
        event.method, event.path, event.route = self.method, self.path, self.route()
        event.status_code = None if self.left_early else self.status_code
        # To round to 3 digits would take four times as long.
        event.latency_ms = latency_ms = round((end - began) * 1e6) / 1000
        event.outcome, event.quiet = outcome, self.quiet
        event.llm = self.llm
        if self.open_calls:
            event.llm = self.llm_with_open()  # it may make the span
            add_open_calls(self)
        event.error, event.spans = error, self.spans
        if first is not None:
            event.ttfb_ms = round((first - began) * 1000, 3)
        if self.times is not None:
            event.times = self.times.fields(latency_ms, began, end)
        return event

    def background_failed(self, error: BaseException) -> None:
        """Emit `background_failed`: work after the response has raised."""
        note(error).covered = True
        with _guard:
            pipeline.emit(BackgroundFailed(trace_id=self.trace_id, bound=self.bound, error=error))
