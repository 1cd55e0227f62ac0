"""Parse log lines, each one JSON object with the order and fields of the schema; select some."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA: dict[str, Any] = json.loads(
    files("pantheon_obs").joinpath("events.schema.json").read_text(encoding="utf-8")
)
HEAD = ("timestamp", "level", "event", "logger", "trace_id")
STATIC = ("service", "environment", "release")

_validator = Draft202012Validator(SCHEMA)


def parse_lines(output: bytes) -> list[dict[str, Any]]:
    """Parse the output of a process: only whole JSON lines, each valid.

    Args:
        output: Its stdout, or stdout and stderr together.

    Returns:
        The lines as dicts.
    """
    if not output:
        return []
    assert output.endswith(b"\n"), f"the last line is not whole: {output[-200:]!r}"
    return [parse_line(line) for line in output[:-1].split(b"\n")]


def parse_line(line: bytes) -> dict[str, Any]:
    """Read one line without its end, and validate it."""
    try:
        parsed = json.loads(
            line.decode("utf-8"), object_pairs_hook=_without_repetition, parse_constant=_refuse
        )
    except ValueError as error:
        msg = f"not a JSON line ({error}): {line[:500]!r}"
        raise AssertionError(msg) from None
    validate_line(parsed)
    return parsed


def validate_line(line: dict[str, Any]) -> None:
    """Check a line against the schema: its values, and the order of its keys."""
    assert isinstance(line, dict), f"not a JSON object: {line!r:.500}"
    problems = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message:.300}"
        for error in _validator.iter_errors(line)
    ]
    assert [] == problems, f"{line!r:.1000}"
    keys = list(line)
    second = ("request_id",) if line.get("request_id", line) == line.get("trace_id") else ()
    head = [key for key in (*HEAD, *second) if key in line]
    assert head == keys[: len(head)]
    assert "exception" not in keys[:-1]
    own = [key for key in _own_keys(line) if key in line]
    assert own == [key for key in keys[len(head) :] if key in own]
    if own and not set(own) & set(STATIC):
        # Bound and static fields come after the event's own.
        assert own == keys[len(head) : len(head) + len(own)]


def named(lines: Iterable[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    """Select the lines of an event."""
    return [line for line in lines if line["event"] == event]


def endings(lines: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """List the outcome, status and error type of each request."""
    return [
        (line["outcome"], line["status_code"], line.get("error_type"))
        for line in named(lines, "request_finished")
    ]


def with_traceback(lines: Iterable[dict[str, Any]]) -> list[str]:
    """List the events whose lines have a traceback."""
    return [line["event"] for line in lines if "exception" in line]


def _own_keys(line: dict[str, Any]) -> list[str]:
    """List the keys of this event in the schema's order; none for a line of the application."""
    event, logger = line["event"], line["logger"]
    if logger == "pantheon_obs.llm" and event.startswith("llm."):
        event = "llm"
    is_library = logger == "pantheon_obs" or logger.startswith("pantheon_obs.")
    definition = SCHEMA["$defs"].get(event, {}) if is_library else {}
    return [key for key in definition.get("properties", {}) if key not in (*HEAD, "exception")]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = f"a key stands twice: {[key for key, _ in pairs]}"
        raise ValueError(msg)
    return found


def _refuse(constant: str) -> None:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)
