"""The calls: each kind of answer with each ending that it can have, and what is true about it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.conformance import bodies, kinds
from bench.conformance.provider import CUT, SILENT, Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from bench.conformance.kinds import Kind

NOTHING: dict[str, Any] = {"input": None, "output": None}
OK, ERROR, LEFT = "ok", "error", "left"


@dataclass(frozen=True)
class Scenario:
    """One call.

    Attributes:
        kind: The kind of the answer.
        ending: How the call ends, in words.
        streamed: Whether the answer is streamed.
        is_async: Whether the client is the async one.
        answer: The provider's answer.
        consumer: What the caller does: `reads`, `raises` at the first chunk, `breaks` there, or is
            `cancelled` while it waits; `parses` into an object.
        told: How the call has ended, in one word: `ok`, `error` or `left` early by the caller.
        tokens: The numbers that a record must have.
        cost: The cost, None if there must be none.
        judges_cost: Whether the cost can be known.
    """

    kind: Kind
    ending: str
    streamed: bool
    is_async: bool
    answer: Answer
    consumer: str
    told: str
    tokens: dict[str, Any]
    cost: Decimal | None
    judges_cost: bool = True

    @property
    def name(self) -> str:
        """Return its name in the table."""
        return f"{self.kind.name}, {self.way}, {self.ending}"

    @property
    def way(self) -> str:
        """Return the way of the call."""
        streamed = "streamed" if self.streamed else "unstreamed"
        return f"{streamed}, {'async' if self.is_async else 'sync'}"


def scenarios() -> list[Scenario]:
    """Return all calls."""
    ways = [(streamed, is_async) for streamed in (False, True) for is_async in (False, True)]
    found = [
        _whole(kind, streamed=streamed, is_async=is_async)
        for kind in kinds.KINDS
        for streamed, is_async in ways
    ]
    found += [_whole(kinds.EMBEDDINGS, is_async=is_async) for is_async in (False, True)]
    for kind in (kinds.CHAT, kinds.RESPONSES, kinds.MESSAGES, kinds.EMBEDDINGS):
        for streamed, is_async in ways:
            if not (streamed and kind is kinds.EMBEDDINGS):
                ok = _whole(kind, streamed=streamed, is_async=is_async)
                found += _streamed_endings(ok) if streamed else _unstreamed_endings(ok)
    for is_async in (False, True):
        cut = _whole(kinds.CUT_AT_LIMIT, is_async=is_async)
        found.append(replace(cut, ending="LengthFinishReasonError", consumer="parses", told=ERROR))
    return found


def _whole(kind: Kind, *, is_async: bool, streamed: bool = False) -> Scenario:
    return Scenario(
        kind=kind,
        ending="ok",
        streamed=streamed,
        is_async=is_async,
        answer=Answer(_parts(bodies.events_of(kind), kind), streamed=True)
        if streamed
        else Answer([json.dumps(bodies.body_of(kind)).encode()]),
        consumer="reads",
        told=OK,
        tokens=kind.tokens,
        cost=kind.cost,
    )


def _parts(events: list[bodies.Body], kind: Kind) -> list[bytes]:
    done = [b"data: [DONE]\n\n"] if kind.interface == "chat" else []
    return [*map(bodies.as_sse, events), *done]


def _unstreamed_endings(ok: Scenario) -> Iterator[Scenario]:
    failed = replace(ok, told=ERROR, tokens=NOTHING, cost=None)
    yield replace(failed, ending="HTTP error", answer=_http_error(ok.kind))
    if ok.is_async:
        answer = Answer([], end=SILENT)
        yield replace(failed, ending="cancelled", answer=answer, consumer="cancelled", told=LEFT)
    if ok.kind.interface != "embeddings":
        answer = Answer([json.dumps(_error_in_200(ok.kind)).encode()])
        yield replace(failed, ending="error in a 200", answer=answer)


def _streamed_endings(ok: Scenario) -> Iterator[Scenario]:
    failed = replace(ok, told=ERROR, tokens=NOTHING, cost=None)
    yield replace(failed, ending="HTTP error", answer=_http_error(ok.kind))
    events = bodies.events_of(ok.kind)
    last = 3 if ok.kind.interface != "responses" else 4
    begun = Answer(_parts(events, ok.kind)[:last], streamed=True)
    # Anthropic bills what it has told by then; nobody can know the whole cost.
    early = replace(failed, tokens=ok.kind.early, judges_cost=ok.kind.interface != "messages")
    left = replace(early, told=LEFT, answer=begun._replace(end=SILENT))
    yield replace(left, ending="exception in the consumer", answer=ok.answer, consumer="raises")
    yield replace(left, ending="consumer breaks off", answer=ok.answer, consumer="breaks")
    if ok.is_async:
        yield replace(left, ending="cancelled", consumer="cancelled")
    yield replace(early, ending="connection is cut", answer=begun._replace(end=CUT))
    yield replace(early, ending="ends before its terminal chunk", answer=begun)
    broken = begun._replace(parts=[*begun.parts, bodies.as_sse(_error_event(ok.kind))])
    yield replace(early, ending="error in a 200", answer=broken)


def _error(kind: Kind) -> bodies.Body:
    if kind.interface == "messages":
        return {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return {"error": {"message": "Overloaded", "type": "server_error", "code": "overloaded"}}


def _http_error(kind: Kind) -> Answer:
    return Answer([json.dumps(_error(kind)).encode()], status=500)


def _failed_response(kind: Kind) -> bodies.Body:
    error = {"code": "server_error", "message": "Overloaded"}
    failed = {"status": "failed", "error": error, "output": [], "usage": None}
    return bodies.body_of(kind) | failed


def _error_in_200(kind: Kind) -> bodies.Body:
    return _failed_response(kind) if kind.interface == "responses" else _error(kind)


def _error_event(kind: Kind) -> bodies.Body:
    if kind.interface == "responses":
        failed = {"type": "response.failed", "response": _failed_response(kind)}
        return failed | {"sequence_number": 9}
    return _error(kind)
