"""One LLM call while it runs: its clock, its chunks, and how it ends."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.llm.cancellations import sender_of
from pantheon_obs.llm.cost.price_list_loader import loader
from pantheon_obs.llm.usage.errors import error_type_of, read_exception
from pantheon_obs.llm.usage.pieces import without_pieces
from pantheon_obs.llm.usage.shapes import read
from pantheon_obs.llm.usage.sources import read_billed

if TYPE_CHECKING:
    from weakref import ref

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.llm_events import LlmOutcome
    from pantheon_obs.llm.nesting import InnerCalls
    from pantheon_obs.llm.options import CallOptions
    from pantheon_obs.llm.usage.answer import Reported

WINDOW = 16  # chunks that are looked at in one go after the first content
_TEXT = frozenset({str, bytes, bytearray})


class Progress:
    """The state of a call while it runs. The first end that is recorded counts.

    Class attributes are the values that most calls never change.
    """

    options: CallOptions
    model_alias: str | None
    trace: Trace | None
    trace_id: str
    reported: Reported
    started: float  # by the clock, as are the next two moments
    first_chunk: float | None = None
    first_content: float | None = None
    streamed = False
    recent: Any = ()  # the list of the chunks that were not looked at yet
    window = 1  # how many of them are looked at in one go
    looked_at = 0  # the number of the earlier ones
    last: Any = None  # the last of the earlier ones
    loops: list[ref[Any]]  # generators that count the chunks of an iterator of the stream
    producer = 0.0  # seconds spent inside the model's iterator
    latency = 0.0  # seconds from the start to the end
    complete = False  # whether the whole answer has arrived
    outcome: LlmOutcome | None = None
    error_type: str | None = None
    inner: InnerCalls | None = None  # the calls that its own code has made
    dropped = False  # whether a finalizer may be running

    def begin_stream(self) -> None:
        """Expect chunks."""
        if not self.streamed:
            self.streamed = True
            self.recent = []
            self.loops = []

    @property
    def chunks(self) -> int:
        """The number of all chunks."""
        return self.looked_at + len(self.recent)

    def look(self) -> bool:
        """Read each chunk up to the first content, then the last chunks if they report more.

        Return whether the first content is still to come.
        """
        try:
            chunks = [*self.recent]
            del self.recent[: len(chunks)]
            self.looked_at += len(chunks)
            self.last = chunks[-1]
            if self.first_content is None:
                self._read_first(self.last)
            else:
                for each in without_pieces(chunks, loader.prices):
                    read(each, self.reported)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per chunk
            report("llm chunk", error)
        return self.first_content is None

    def _read_first(self, chunk: Any) -> None:
        now = perf_counter()
        self.first_chunk = self.first_chunk or now
        content = True
        try:
            if type(chunk) in _TEXT:
                content = bool(chunk)
            elif read(chunk, self.reported):
                content = self.reported.content
        finally:
            if content:
                self.first_content = now
                self.window = WINDOW

    def end(self, outcome: LlmOutcome, error_type: str | None = None) -> None:
        """Record how and when it ended."""
        self.dropped = outcome in ("closed", "not_consumed")
        if self._is_first_end():
            self.complete = outcome == "ok"
            self._set_outcome(outcome, error_type)

    def exhausted(self, began: float) -> None:
        """Record that the stream, asked at `began` for the next chunk, has no more."""
        if self._is_first_end(began):
            self.complete = True
            # An SDK reads nothing in a body that is no stream, a page of HTML for example.
            nothing = self.chunks == 0 and self.options.sdk is not None
            cut = self.reported.finished is False or nothing
            if cut and error_type_of(self.reported) is None:
                self._set_outcome("error", "IncompleteStream")
            else:
                self._set_outcome("ok")

    def failed(self, error: BaseException, began: float | None = None) -> None:
        """Record an exception: `error`, or `cancelled` if it is not an `Exception`.

        A cancellation by the caller's own time-out is an error. A cancellation of a stream that the
        consumer has left is not.
        """
        by = None if isinstance(error, Exception) else sender_of(error)
        if by == "consumer":
            self.abandoned(waiting=began is not None)
        elif self._is_first_end(began):
            if isinstance(error, Exception):
                self._set_outcome("error", type(error).__name__)
                self._read_failure(error)
            elif by == "time-out":
                self._set_outcome("error", "TimeoutError")
            else:
                self._set_outcome("cancelled", type(error).__name__)

    def abandoned(self, *, waiting: bool = False) -> None:
        """Record that the consumer reads no further, perhaps while `waiting` for a chunk."""
        self.dropped = True
        if self._is_first_end():
            begun = not self.streamed or self.chunks > 0 or waiting
            arrived = self.reported.finished  # the terminal chunk
            self._set_outcome("ok" if arrived else "closed" if begun else "not_consumed")

    def _set_outcome(self, outcome: LlmOutcome, error_type: str | None = None) -> None:
        if outcome == "ok":
            error_type = error_type_of(self.reported)
            if error_type is not None:
                outcome = "error"
        elif self.reported.finished is False:
            self.reported.partial = True  # more may be billed than was counted so far
        self.outcome = outcome
        self.error_type = error_type

    def _read_failure(self, error: Exception) -> None:
        """Read the provider's reason, and the answer that is billed although the call failed."""
        try:
            read_exception(error, self.reported)
            of_inner = self.inner is not None and self.inner.have_usage  # each of them has its own
            if self.reported.usage_status == "missing" and not of_inner:
                read_billed(error, self.reported, in_frames=self.options.sdk is not None)
        except Exception as mistake:  # noqa: BLE001 - as above
            report("llm error", mistake)

    def _is_first_end(self, began: float | None = None) -> bool:
        """Whether it had not ended before; if so, take the time and read the last chunks."""
        if self.outcome is not None:
            return False
        now = perf_counter()
        self.latency = now - self.started
        if began is not None:
            self.producer += now - began
        try:
            for chunk in self.recent:
                if type(chunk) not in _TEXT:
                    read(chunk, self.reported)
        except Exception as error:  # noqa: BLE001 - as above
            report("llm chunk", error)
        return True
