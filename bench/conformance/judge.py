"""Compare records with the truth."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bench.conformance.scenarios import ERROR, LEFT, OK

if TYPE_CHECKING:
    from bench.conformance.contenders import Contender
    from bench.conformance.scenarios import Scenario

ONCE, ENDING, TOKENS, COST = QUESTIONS = ("recorded once", "ending", "tokens", "cost")
_PLACES = Decimal("1e-9")


def misses(
    scenario: Scenario, call: dict[str, Any], contender: Contender
) -> dict[str, str | None] | None:
    """Return the miss of each question that is asked, None if it is answered rightly.

    A call of an interface that the library does not claim to observe has no questions: None.
    """
    if scenario.kind.interface not in contender.interfaces:
        return None
    records = call["records"]
    asked = [ONCE, ENDING, TOKENS]
    if contender.has_cost and scenario.judges_cost:
        asked.append(COST)
    if len(records) != 1:
        number = f"{len(records)} records" if records else "no record"
        return dict.fromkeys(asked, "-") | {ONCE: number}
    [record] = records
    answers = {
        ONCE: None,
        ENDING: _ending(scenario.told, record["ending"]),
        TOKENS: _tokens(scenario.tokens, record),
        COST: _cost(scenario.cost, record["cost"]),
    }
    return {question: answers[question] for question in asked}


def _ending(true: str, told: str) -> str | None:
    """Compare endings. For a call that its caller has left, an error is accepted, too."""
    accepted = {OK: (OK,), ERROR: (ERROR,), LEFT: (LEFT, ERROR)}[true]
    return None if told in accepted else f"`{told}`"


def _tokens(true: dict[str, Any], record: dict[str, Any]) -> str | None:
    """Compare numbers. A 0 is accepted in the place of nothing."""
    wrong = []
    for field, expected in true.items():
        found = record[field]
        accepted = expected if isinstance(expected, tuple) else (expected,)
        if found not in accepted and not (expected is None and found == 0):
            wrong.append(f"{field} {'missing' if found is None else found}")
    return ", ".join(wrong) or None


def _cost(true: Decimal | None, found: float | None) -> str | None:
    if true is None:
        return f"${found}" if found else None
    if found is None:
        return "missing"
    exact = Decimal(str(found)).quantize(_PLACES) == true.quantize(_PLACES)
    return None if exact else f"${found}"
