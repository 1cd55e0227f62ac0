"""Read a library's record of a call: it has the ending, the tokens and the cost."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import ReadableSpan

Record = dict[str, Any]

# The names that the conventions have, the newest first; a number counts if any of them has it.
_NAMES = {
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
    ),
    "cached": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "written": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "cost": ("operation.cost", "gen_ai.usage.cost", "llm.cost.total"),
}
# Names within a usage object that is one attribute: langfuse's, and the vendor's own in logfire's.
_OBJECTS = ("langfuse.observation.usage_details", "gen_ai.usage.raw")
_MEMBERS = {
    "input": ("input", "input_tokens", "prompt_tokens"),
    "output": ("output", "output_tokens", "completion_tokens"),
    "cached": ("input_cached_tokens", "cache_read_input_tokens", "cached_tokens"),
    "written": ("cache_creation_input_tokens",),
    "reasoning": ("output_reasoning_tokens", "reasoning_tokens"),
}
_LEFT = re.compile("cancel|abort|interrupt|incomplete|generatorexit|closed", re.IGNORECASE)
_CONTENT = re.compile("message|content|prompt|input|output|completion|choice|request|response_data")


def of_event(event: dict[str, Any]) -> Record:
    """Read an event of pantheon-obs."""
    return {
        "ending": event["outcome"] if event["outcome"] in ("ok", "error") else "left",
        "input": event["input_tokens"],
        "output": event["output_tokens"],
        "cached": event.get("cached_input_tokens"),
        "written": event.get("cache_write_tokens"),
        "reasoning": event.get("reasoning_tokens"),
        "cost": event.get("cost_usd"),
    }


def of_spans(spans: Iterable[ReadableSpan]) -> list[Record]:
    """Read spans; each of them is a record."""
    return [_of_span(span) for span in spans]


def of_logfire(spans: Iterable[ReadableSpan]) -> list[Record]:
    """Read Logfire's spans. By its documentation a stream has two: its request, and its result."""
    records: list[Record] = []
    results: list[Record] = []
    for span in spans:
        name = (span.attributes or {}).get("logfire.msg_template", "")
        found = results if str(name).startswith("streaming response") else records
        found.append(_of_span(span))
    if len(records) == 1 and len(results) == 1:
        [first], [last] = records, results
        ending = first["ending"] if last["ending"] == "ok" else last["ending"]
        known = {name: value for name, value in last.items() if value is not None}
        return [first | known | {"ending": ending}]
    return [*records, *results]


def _of_span(span: ReadableSpan) -> Record:
    attributes = dict(span.attributes or {})
    members: dict[str, Any] = {}
    for name in _OBJECTS:
        members |= _flat(json.loads(str(attributes.get(name, "{}"))))
    record: Record = {"ending": _ending(span, attributes)}
    for field, names in _NAMES.items():
        values = [attributes[name] for name in names if name in attributes]
        values += [members[name] for name in _MEMBERS.get(field, ()) if name in members]
        record[field] = values[0] if values else None
    return record


def _flat(usage: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a usage object and of the objects in it."""
    inner = [_flat(value) for value in usage.values() if isinstance(value, dict)]
    return {name: value for each in [*inner, usage] for name, value in each.items()}


def _ending(span: ReadableSpan, attributes: dict[str, Any]) -> str:
    level = attributes.get("langfuse.observation.level")
    failed = not span.status.is_ok or "error.type" in attributes or level == "ERROR"
    if failed or any(event.name == "exception" for event in span.events):
        return "error"
    said = [f"{name} {value}" for name, value in attributes.items() if not _CONTENT.search(name)]
    said += [event.name for event in span.events]
    return "left" if any(_LEFT.search(each) for each in said) else "ok"
