"""One LLM call while it runs: its clock, its chunks, and how it ends."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.llm.usage.shapes import read

if TYPE_CHECKING:
    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.llm_events import LlmOutcome
    from pantheon_obs.llm.usage.fields import Reported

_LAST_CHUNKS = 8
_NO_CHUNKS: deque[Any] = deque(maxlen=0)
_TEXT = frozenset({str, bytes, bytearray})


class Progress:
    """The state of a call while it runs. The first end that is recorded counts.

    Class attributes are the values that most calls never change.

    Attributes:
        streamed: Whether the answer comes in chunks.
        chunks: How many have arrived.
        producer: Seconds spent inside the model's iterator.
        first_chunk: Clock time of the first chunk.
        first_content: Clock time of the first chunk with content.
        recent: The last chunks.
        complete: Whether the whole answer has arrived.
        started: Clock time of the start.
        latency: Seconds from the start to the end.
    """

    model_alias: str | None
    trace: Trace | None
    trace_id: str
    reported: Reported
    started: float
    streamed = False
    chunks = 0
    producer = 0.0
    first_chunk: float | None = None
    first_content: float | None = None
    recent = _NO_CHUNKS
    complete = False
    outcome: LlmOutcome | None = None
    error_type: str | None = None
    latency = 0.0

    def begin_stream(self) -> None:
        """Expect chunks.

        Chunks are read up to the first one with content, and the last ones at the end: the known
        shapes report usage and finish reason nowhere else.
        """
        if not self.streamed:
            self.streamed = True
            self.recent = deque(maxlen=_LAST_CHUNKS)

    def count(self, chunk: Any, now: float) -> None:
        """Count a chunk that has arrived now (the loops that run per chunk do this in place)."""
        self.chunks += 1
        self.recent.append(chunk)
        if self.first_content is None:
            self.read_chunk(chunk, now)

    def read_chunk(self, chunk: Any, now: float) -> bool:
        """Read a chunk; return whether to read the next one too, to find the first content."""
        if self.first_chunk is None:
            self.first_chunk = now
        content = True
        try:
            if type(chunk) in _TEXT:
                content = bool(chunk)
            elif read(chunk, self.reported):
                content = self.reported.content
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per chunk
            report("llm chunk", error)
        if content:
            self.first_content = now
        return not content

    def end(self, outcome: LlmOutcome, error_type: str | None = None) -> None:
        """Record how and when it ended."""
        if self._is_first_end():
            self.complete = outcome == "ok"
            self.outcome = outcome
            self.error_type = error_type

    def exhausted(self, began: float) -> None:
        """Record that the stream, asked at `began` for the next chunk, has no more."""
        if self._is_first_end(began):
            self.complete = True
            if self.reported.finished is False:
                self.outcome = "error"
                self.error_type = "IncompleteStream"
            else:
                self.outcome = "ok"

    def failed(self, error: BaseException, began: float | None = None) -> None:
        """Record an exception: `error`, or `cancelled` if it is not an `Exception`."""
        if isinstance(error, GeneratorExit):
            self.abandoned(waiting=began is not None)
        elif self._is_first_end(began):
            self.outcome = "error" if isinstance(error, Exception) else "cancelled"
            self.error_type = type(error).__name__

    def abandoned(self, *, waiting: bool = False) -> None:
        """Record that the consumer reads no further: `ok` if the terminal chunk had arrived.

        Args:
            waiting: Whether it was waiting for a chunk.
        """
        if self._is_first_end():
            if self.reported.finished:
                self.outcome = "ok"
            elif self.streamed and self.chunks == 0 and not waiting:
                self.outcome = "not_consumed"
            else:
                self.outcome = "closed"

    def _is_first_end(self, began: float | None = None) -> bool:
        """Whether it had not ended before; if so, take the time and read the last chunks."""
        if self.outcome is not None:
            return False
        now = perf_counter()
        self.latency = now - self.started
        if began is not None:
            self.producer += now - began
        if self.recent:
            self._read_recent()
        return True

    def _read_recent(self) -> None:
        try:
            for chunk in tuple(self.recent):
                if type(chunk) not in _TEXT:
                    read(chunk, self.reported)
        except Exception as error:  # noqa: BLE001 - as above
            report("llm chunk", error)
