"""Facts become an outcome: the whole table, for every protocol at once."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

import pytest

from pantheon_obs.core.facts import Facts
from pantheon_obs.core.outcome import decide, is_background

FAILED = LookupError("failed")
ANSWERED = ZeroDivisionError("answered")
BROKEN_PIPE = BrokenPipeError("gone")
CANCELLED = CancelledError()
INTERRUPTED = KeyboardInterrupt()


class ClientDisconnect(Exception):  # noqa: N818 - a framework's name for it
    """A framework raises this where an application reads from a client that has gone."""


def while_handling(origin: BaseException) -> BaseException:
    """Make an exception that was raised while another one was handled."""
    error = RuntimeError("not sent")
    error.__context__ = origin
    return error


DEPARTED = ClientDisconnect()
DEPARTURES = frozenset({"ClientDisconnect"})
NOT_SENT = while_handling(BROKEN_PIPE)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({}, ("no_response", None), id="nothing-was-sent"),
        pytest.param({"started": True}, ("error", None), id="returned-in-the-middle"),
        pytest.param({"complete": True}, ("ok", None), id="complete"),
        pytest.param({"ended": True}, ("no_response", None), id="ended-without-a-start"),
        pytest.param({"replaced": True}, ("no_response", None), id="we-answered"),
        pytest.param(
            {"complete": True, "replaced": True}, ("no_response", None), id="we-answered-whole"
        ),
        pytest.param({"client_gone": True}, ("client_disconnected", None), id="left-before"),
        pytest.param(
            {"started": True, "client_gone": True}, ("client_disconnected", None), id="left-within"
        ),
        pytest.param(
            {"complete": True, "client_gone": True},
            ("client_disconnected", None),
            id="left-before-the-last-byte-was-accepted",
        ),
        pytest.param(
            {"started": True, "send_error": BROKEN_PIPE},
            ("client_disconnected", None),
            id="the-server-reported-the-departure",
        ),
        pytest.param(
            {"complete": True, "send_error": BROKEN_PIPE},
            ("ok", None),
            id="sent-whole-in-spite-of-a-report",
        ),
        pytest.param({"error": FAILED}, ("error", FAILED), id="raised"),
        pytest.param({"started": True, "error": FAILED}, ("error", FAILED), id="raised-within"),
        pytest.param({"replaced": True, "error": FAILED}, ("error", FAILED), id="we-answered-it"),
        pytest.param(
            {"client_gone": True, "error": FAILED}, ("error", FAILED), id="raised-without-a-client"
        ),
        pytest.param(
            {"client_gone": True, "error": DEPARTED, "departures": DEPARTURES},
            ("client_disconnected", None),
            id="raised-because-the-client-left",
        ),
        pytest.param(
            {"client_gone": True, "error": DEPARTED},
            ("error", DEPARTED),
            id="raised-another-protocol's",
        ),
        pytest.param(
            {"error": DEPARTED, "departures": DEPARTURES},
            ("error", DEPARTED),
            id="raised-as-if-it-had-left",
        ),
        pytest.param(
            {"send_error": BROKEN_PIPE, "error": BROKEN_PIPE},
            ("client_disconnected", None),
            id="the-report-escaped",
        ),
        pytest.param(
            {"send_error": BROKEN_PIPE, "error": NOT_SENT},
            ("client_disconnected", None),
            id="the-report-escaped-in-another",
        ),
        pytest.param({"error": CANCELLED, "requested": True}, ("cancelled", None), id="cancelled"),
        pytest.param({"error": CANCELLED}, ("error", CANCELLED), id="cancelled-by-nobody"),
        pytest.param(
            {"client_gone": True, "error": CANCELLED},
            ("client_disconnected", None),
            id="cancelled-because-the-client-left",
        ),
        pytest.param(
            {"complete": True, "error": CANCELLED, "requested": True},
            ("ok", None),
            id="cancelled-after",
        ),
        pytest.param({"error": INTERRUPTED}, ("cancelled", None), id="interrupted"),
        pytest.param(
            {"client_gone": True, "error": INTERRUPTED},
            ("cancelled", None),
            id="interrupted-without-a-client",
        ),
        pytest.param({"unhandled": ANSWERED}, ("error", ANSWERED), id="unhandled"),
        pytest.param(
            {"complete": True, "unhandled": ANSWERED}, ("error", ANSWERED), id="unhandled-answered"
        ),
        pytest.param(
            {"unhandled": ANSWERED, "error": CANCELLED, "requested": True},
            ("error", ANSWERED),
            id="unhandled-then-cancelled",
        ),
        pytest.param(
            {"unhandled": ANSWERED, "error": FAILED}, ("error", FAILED), id="unhandled-then-raised"
        ),
        pytest.param({"client_gone": True, "close_code": 1000}, ("ok", None), id="closed"),
        pytest.param({"client_gone": True, "close_code": 1001}, ("ok", None), id="left-the-page"),
        pytest.param({"client_gone": True, "close_code": 1005}, ("ok", None), id="without-a-code"),
        pytest.param(
            {"client_gone": True, "close_code": 1006},
            ("client_disconnected", None),
            id="broken-connection",
        ),
        pytest.param(
            {"client_gone": True, "close_code": 1012}, ("cancelled", None), id="server-restarts"
        ),
        pytest.param(
            {"client_gone": True, "close_code": 1001, "error": CANCELLED},
            ("ok", None),
            id="cancelled-after-a-close",
        ),
    ],
)
def test_the_outcome_follows_from_the_facts(
    facts: dict[str, Any], expected: tuple[str, BaseException | None]
) -> None:
    """Each combination of facts has one outcome, and at most one exception on its event."""
    complete = facts.pop("complete", False)
    started = facts.pop("started", complete)
    ended = facts.pop("ended", complete)

    assert expected == decide(_facts(response_started=started, response_complete=ended, **facts))


@pytest.mark.parametrize(
    ("facts", "error", "expected"),
    [
        pytest.param({"response_complete": True}, FAILED, True, id="after-the-response"),
        pytest.param({}, FAILED, False, id="before-its-end"),
        pytest.param(
            {"response_complete": True, "requested": True}, CANCELLED, False, id="cancelled"
        ),
        pytest.param({"response_complete": True}, CANCELLED, True, id="cancelled-by-nobody"),
        pytest.param(
            {"response_complete": True, "replaced": True}, FAILED, False, id="we-answered"
        ),
        pytest.param(
            {"response_complete": True, "error_at_start": FAILED}, FAILED, False, id="answered"
        ),
        pytest.param(
            {"response_complete": True, "error_at_start": ANSWERED}, FAILED, True, id="another"
        ),
    ],
)
def test_an_exception_after_the_response_is_of_the_background(
    facts: dict[str, Any], error: BaseException, *, expected: bool
) -> None:
    """An exception after the response is not the request's, unless the response answered it."""
    assert expected is is_background(_facts(**facts), error)


def test_an_exception_with_the_answered_one_as_its_cause_is_not_of_the_background() -> None:
    """A framework that answers an exception may raise it again, wrapped in another."""
    wrapper = RuntimeError()
    wrapper.__cause__ = FAILED

    assert not is_background(_facts(response_complete=True, error_at_start=FAILED), wrapper)


def _facts(**known: Any) -> Facts:
    """Make the facts of an exchange."""
    facts = Facts()
    vars(facts).update(known)
    return facts
