"""Stories are rebuilt exactly from the files that a scripted incident leaves."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pantheon_obs.cli.main import main
from tests.cli.incidents import TRACE, ZERO, Incident, stamp, write

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random


def told(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> dict[str, Any]:
    """Run `story --json` and read the document."""
    capsysbinary.readouterr()
    assert 0 == main(["story", *arguments, "--json"])
    document: dict[str, Any] = json.loads(capsysbinary.readouterr().out)
    return document


def expected_items(incident: Incident) -> list[dict[str, Any]]:
    """List the items of the story that an incident's script gives."""
    acts = sorted(incident.acts, key=lambda act: (act.start, -act.milliseconds))
    return [
        {
            "id": place,
            "parent": None if act.parent is None else acts.index(act.parent),
            "kind": act.kind,
            "name": act.name,
            "service": act.service,
            "start": stamp(act.start),
            "end": stamp(act.end),
            "duration_ms": act.milliseconds,
            "failed": act.failed,
            "line": act.line,
        }
        for place, act in enumerate(acts)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(random=st.randoms(use_true_random=False), spans=st.booleans())
def test_a_story_is_as_it_was_scripted(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], random: Random, *, spans: bool
) -> None:
    """Order, parents, durations, totals, errors, lines and counts are those of the script."""
    folder = tmp_path / "logs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    incident = Incident(random, spans=spans)
    logs = write(incident, folder, random)
    what = random.choice([TRACE, TRACE.replace("-", ""), TRACE.upper(), TRACE[:8], TRACE[:15]])

    story = told(capsysbinary, what, str(folder))

    assert logs.read == story["read"]
    assert logs.lines == [(row["service"], row["source"], row["line"]) for row in story["lines"]]
    items = [
        {key: value for key, value in item.items() if key not in ("times", "guessed")}
        for item in story["items"]
    ]
    assert expected_items(incident) == items
    errors = [(error["type"], error["message"], error["event"]) for error in story["errors"]]
    assert incident.errors == errors
    calls = [act.line for act in incident.acts if act.kind == "llm" and "nested" not in act.line]
    paid = [call["cost_usd"] for call in calls if "cost_usd" in call]
    assert len(calls) == story["llm_calls"]
    assert (100 * len(paid) or None) == story["input_tokens"]
    assert (20 * len(paid) or None) == story["output_tokens"]
    assert (pytest.approx(sum(paid)) if paid else None) == story["cost_usd"]
    assert incident.fails == story["failed"]
    first = min([0, *(micros for lines in incident.written.values() for micros, _ in lines)])
    last = max(micros for lines in incident.written.values() for micros, _ in lines)
    assert (stamp(first), stamp(last)) == (story["start"], story["end"])
    assert (last - first) / 1000 == pytest.approx(story["duration_ms"])
    assert TRACE == story["trace_id"]
    assert list(dict.fromkeys(service for service, _, _ in logs.lines)) == story["services"]
    assert ZERO + timedelta(microseconds=first) == ZERO
