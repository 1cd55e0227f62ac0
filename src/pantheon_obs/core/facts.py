"""The facts about one exchange, which adapters report and `core.outcome` judges."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterable

BODILESS = frozenset({204, 304})  # statuses
CLIENT_ERROR, SERVER_ERROR = 400, 500  # the lowest ones

# Bytes that a connection takes at once: if it refuses its first ones, its client had left before
# they were made.
_FITS = 16_384

_guard = Guard("facts of an exchange")


class Facts:
    """The facts about one exchange, HTTP or websocket, that decide its outcome."""

    response_started: bool = False  # or a handshake has been answered
    status_code: int | None = None
    first_byte: float | None = None  # clock time at which it was handed to the server
    streaming: bool = False  # the body came in parts, or without a known length
    response_complete: bool = False  # its last byte was handed to the server
    client_gone: bool = False  # before that
    left_early: bool = False  # before the response started: nobody gets that
    content_lost: bool = False  # a part of the body was sent after the client had gone
    stopping: bool = False  # the server shuts down, and the application's work is unfinished
    relayed: bool = False  # a task group ended the body: the application may have failed before
    replaced: bool = False  # we have answered in place of the application
    taken_over: bool = False  # the application has answered on the server's connection itself
    close_code: int | None = None  # of a websocket, of whichever side closed first
    error: BaseException | None = None  # escaped from the application
    requested: bool = False  # it is a cancellation, which somebody has asked for
    unhandled: BaseException | None = None  # answered by the framework, which does not raise it
    may_be_handled: bool = False  # `unhandled` is an error only if the response is a 5xx
    send_error: OSError | None = None  # the server's report that the client has gone
    error_at_start: BaseException | None = None  # being handled when a 5xx started

    # Of the protocol:
    restartable: bool = False  # a response that has started can be replaced until its first byte
    content_length: Any = "content-length"  # in the type of the names of headers
    # Names of the exceptions with which frameworks and servers say that the client has left.
    departures: frozenset[str] = frozenset()

    _headers: Iterable[tuple[Any, Any]] = ()  # of the response

    def part(self, size: int) -> None:
        """A part of the body was handed to the server, which may not be the last one."""
        if not self.streaming:
            self.streaming = self.first_byte is not None or not self.is_whole(size)
        if size and self.first_byte is None:
            self.first_byte = perf_counter()

    def is_whole(self, size: int) -> bool:
        """Whether the part is all of the body: some frameworks send an empty one after it."""
        with _guard:
            name = self.content_length
            return any(key.lower() == name and int(value) == size for key, value in self._headers)
        return False

    @property
    def may_have_failed(self) -> bool:
        """Whether the application may have failed before it sent a last part without content.

        The status may say so, or the part may end a body that was cut.
        """
        if (self.status_code or 0) >= SERVER_ERROR:
            return True
        is_empty = self.first_byte is None and self.status_code not in BODILESS
        return self.streaming or (is_empty and not self.is_whole(0))

    def client_left(self) -> None:
        """The client has gone; after the last byte that is no matter."""
        if not self.response_complete:
            self.client_gone = True

    def send_failed(self, error: OSError) -> None:
        """The server has reported with an exception that the client has gone."""
        self.send_error = error

    def refused(self, size: int) -> None:
        """The server could not send the only part of the body; the size of one of many is 0."""
        self.left_early = self.left_early or 0 < size <= _FITS

    def part_lost(self) -> None:
        """A part of the body was handed to the server after the client had gone."""
        self.client_left()
        self.content_lost = True

    def answered_by_us(self) -> None:
        """We answer in place of the application, from now on."""
        self.replaced = True
