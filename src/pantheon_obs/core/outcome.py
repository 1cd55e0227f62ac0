"""How an exchange ended: pure functions of the facts about it.

An outcome rule is changed here and nowhere else: every protocol and framework has it then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pantheon_obs.core.chains import is_cancellation, stems_from

if TYPE_CHECKING:
    from pantheon_obs.core.facts import Facts

Outcome = Literal["ok", "error", "client_disconnected", "cancelled", "no_response"]
FAILED = frozenset({"error", "no_response"})
"""The outcomes that are the server's fault."""

# RFC 6455, section 7.4.1: normal closure, going away (a page was left), no status received.
_ORDERLY = frozenset({1000, 1001, 1005})
_SERVER_RESTARTS = 1012  # https://www.iana.org/assignments/websocket/websocket.xhtml


def decide(facts: Facts) -> tuple[Outcome, BaseException | None]:
    """Decide how an exchange ended, and which exception its event reports."""
    error = facts.error
    if error is None and facts.unhandled is None:  # the usual way, in as few calls as possible
        sent = facts.response_started and facts.response_complete
        if sent and not (facts.replaced or facts.client_gone):
            return "ok", None
        return _without_error(facts), None
    cancelled = False
    if error is not None and not is_departure(facts, error):
        if is_failure(facts, error):
            return "error", error
        cancelled = not facts.response_complete
    if facts.unhandled is not None:  # counts, whatever became of its answer
        return "error", facts.unhandled
    return "cancelled" if cancelled else _without_error(facts), None


def _without_error(facts: Facts) -> Outcome:
    if facts.replaced:
        return "no_response"
    if has_left(facts):
        if facts.close_code == _SERVER_RESTARTS:
            return "cancelled"
        return "ok" if facts.close_code in _ORDERLY else "client_disconnected"
    if facts.stopping and not facts.response_complete:
        return "cancelled"
    if facts.response_started:
        return "ok" if facts.response_complete else "error"
    return "ok" if facts.taken_over else "no_response"


def must_answer(facts: Facts, *, others_do: bool) -> bool:
    """Whether we must answer, because the application has ended without an answer.

    Others do if a framework is around us, or code that waits for the exception.
    """
    begun = facts.first_byte is not None if facts.restartable else facts.response_started
    if begun or facts.replaced or others_do or has_left(facts):
        return False
    return decide(facts)[0] in FAILED


def has_left(facts: Facts) -> bool:
    """Whether the client left before the last byte, by any report of it."""
    return facts.client_gone or (facts.send_error is not None and not facts.response_complete)


def is_departure(facts: Facts, error: BaseException) -> bool:
    """Whether an exception says no more than that the client has gone."""
    if stems_from(error, facts.send_error):
        return True
    if not has_left(facts) or (facts.response_complete and not facts.left_early):
        return False
    said = (error, error.__cause__, error.__context__)
    return is_cancellation(error) or any(type(each).__name__ in facts.departures for each in said)


def is_failure(facts: Facts, error: BaseException) -> bool:
    """Whether an exception is a failure, not an exit or a cancellation that was asked for."""
    return isinstance(error, Exception) or (is_cancellation(error) and not facts.requested)


def is_background(facts: Facts, error: BaseException) -> bool:
    """Whether an exception comes from work after the response.

    It does not where the response was the answer to this very exception. `__context__` does not
    show that: work that an error handler's response brings along has it as well.
    """
    answered = facts.error_at_start
    return (
        facts.response_complete
        and not facts.replaced
        and not facts.relayed
        and is_failure(facts, error)
        and not is_departure(facts, error)
        and (answered is None or (answered is not error and answered is not error.__cause__))
    )
