"""Render docs/llm-conformance.md from the results, and read its table back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.conformance.contenders import CONTENDERS
from bench.conformance.judge import ONCE, QUESTIONS, TOKENS, misses
from bench.conformance.scenarios import scenarios

if TYPE_CHECKING:
    from bench.conformance.scenarios import Scenario

Results = dict[str, Any]
RIGHT, NOT_ASKED = "✓", "not claimed"
_INTRODUCTION = """\
# LLM calls: conformance

`make llm-conformance` writes this page. It makes the same {calls} calls under each library, with
the real SDKs of OpenAI and Anthropic against a provider on the same machine, and compares the
records of each library with the facts. The sources are in `bench/conformance/`; nothing here is
written by hand.

There are four questions about each call:

- **recorded once**: there is exactly one record of the call. If there is none, or more than one,
  the other questions count as missed.
- **ending**: the record shows a success, a failure, or that the caller has left early. For the last
  case a failure is accepted too. Any status, exception, attribute or event may show the ending.
- **tokens**: the input and output counts are exact. So are cached, written and reasoning tokens if
  the answer has them. Anthropic's input is accepted with the caches or, as Anthropic counts,
  without. If the provider has reported no tokens, the record must have none, or 0.
- **cost**: the cost is exact to nine decimals by the vendor's price list. The question applies only
  to libraries that record a cost, and not to an Anthropic stream that was broken off.
"""


def render(results: dict[str, Results]) -> str:
    """Make the page of the results of each library."""
    calls = scenarios()
    parts = [_INTRODUCTION.format(calls=len(calls)), "## Summary\n"]
    parts += [*_summary(results, calls), "", "## Libraries\n", *_libraries(results), ""]
    parts += ["## Calls\n", f"`{RIGHT}` means that all questions are answered correctly, and"]
    parts += [f"`{NOT_ASKED}` that the library does not claim to observe such calls.\n"]
    ran = [name for name in results if "calls" in results[name]]
    parts += _table(("call", *ran), [_row(call, results, ran) for call in calls])
    return "\n".join(parts) + "\n"


def parse(page: str) -> dict[str, dict[str, str]]:
    """Read the table of calls: the cell of each call, by library."""
    lines = page.partition("## Calls\n")[2].splitlines()
    heading, _, *rows = [line for line in lines if line.startswith("|")]
    _, *names = _cells(heading)
    found = [_cells(row) for row in rows]
    return {
        name: {cells[0]: cells[column] for cells in found}
        for column, name in enumerate(names, start=1)
    }


def cell(scenario: Scenario, results: Results, name: str) -> str:
    """Describe the misses of a library at one call."""
    found = misses(scenario, results["calls"][scenario.name], CONTENDERS[name])
    if found is None:
        return NOT_ASKED
    if once := found[ONCE]:
        return once
    wrong = [
        f"{question} {miss}" if question != TOKENS else miss
        for question, miss in found.items()
        if miss
    ]
    return "; ".join(wrong) or RIGHT


def _summary(results: dict[str, Results], calls: list[Scenario]) -> list[str]:
    rows = []
    for name, result in results.items():
        if "calls" not in result:
            rows.append((name, *["could not run"] * len(QUESTIONS)))
            continue
        found = [misses(call, result["calls"][call.name], CONTENDERS[name]) for call in calls]
        rows.append((name, *(_score(question, found) for question in QUESTIONS)))
    return _table(("library", *QUESTIONS), rows)


def _score(question: str, found: list[dict[str, str | None] | None]) -> str:
    asked = [each[question] for each in found if each is not None and question in each]
    return f"{asked.count(None)} of {len(asked)}" if asked else NOT_ASKED


def _libraries(results: dict[str, Results]) -> list[str]:
    rows = []
    for name, result in results.items():
        versions = result.get("versions") or dict.fromkeys(CONTENDERS[name].packages, "")
        packages = ", ".join(f"{package} {number}".strip() for package, number in versions.items())
        claims = CONTENDERS[name].claims
        if "error" in result:
            claims += f" It could not run: `{result['error']}`"
        rows.append((name, packages, claims))
    return _table(("library", "versions", "set-up"), rows)


def _row(call: Scenario, results: dict[str, Results], ran: list[str]) -> tuple[str, ...]:
    return (call.name, *(cell(call, results[name], name) for name in ran))


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [heading, ("---",) * len(heading), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cells(line: str) -> list[str]:
    return [each.strip() for each in line.strip("|").split("|")]
