"""The types of fields, as `events.schema.json` has them, and the kinds of lines.

A field of another type than the schema's counts as absent. Patterns, ranges and lists of values do
not count here: a newer version of the library may write new ones.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import orjson

PATH = Path(__file__).parents[2] / "events.schema.json"

_LLM_LOGGER = "pantheon_obs.llm"
_UNITS = {
    ("pantheon_obs.request", "request_finished"): "request",
    ("pantheon_obs.request", "websocket_finished"): "websocket",
    ("pantheon_obs.task", "task_finished"): "task",
}
# The schema leaves the types of these fields open where an event has fields of the same names.
_TEXTS = ("service", "environment", "release", "request_id", "error_type")
REQUIRED = ("timestamp", "level", "event", "logger")
ERROR_LEVELS = ("error", "critical")
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}

Types = dict[str, frozenset[type]]


def kind_of(fields: dict[str, Any]) -> str | None:
    """Return `request`, `websocket`, `task` or `llm`; None for any other line."""
    if fields["logger"] == _LLM_LOGGER and fields["event"].startswith("llm."):
        return "llm"
    return _UNITS.get((fields["logger"], fields["event"]))


def typed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a line without those whose type is not the schema's."""
    logger, event = fields["logger"], fields["event"]
    if logger == _LLM_LOGGER and event.startswith("llm."):
        event = "llm."
    types = _TYPES.get((logger, event), _ANY_LINE)
    wrong = [
        name
        for name, value in fields.items()
        if (allowed := types.get(name)) is not None
        and type(value) not in allowed
        and not (type(value) is float and int in allowed and value.is_integer())
    ]
    return {name: fields[name] for name in fields if name not in wrong} if wrong else fields


def number(fields: dict[str, Any], name: str) -> int | float | None:
    """Return a field that is a finite number, else None."""
    value = fields.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return value
    return None


def ms_key(name: str) -> str:
    """Return the key of a measured time, whose calls are in `<name>_calls`."""
    return "llm_latency_ms" if name == "llm" else f"{name}_ms"


def read_schema() -> dict[str, Any]:
    """Read `events.schema.json`."""
    schema: dict[str, Any] = orjson.loads(PATH.read_bytes())
    return schema


def _types_of(rule: Any, definitions: dict[str, Any]) -> frozenset[type]:  # noqa: ANN401 - JSON
    """Return the types that a property's rule accepts; empty if it accepts any."""
    if not isinstance(rule, dict):
        return frozenset()
    if "$ref" in rule:
        return _types_of(definitions[rule["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in rule:
        return frozenset().union(*(_types_of(choice, definitions) for choice in rule["anyOf"]))
    if "const" in rule:
        return frozenset({type(rule["const"])})
    if "enum" in rule:
        return frozenset(map(type, rule["enum"]))
    names = rule.get("type", [])
    return frozenset(
        python
        for name in ([names] if isinstance(names, str) else names)
        for python in _PYTHON[name]
    )


def _types_of_events() -> dict[tuple[str, str], Types]:
    """Map logger and event to the types of the fields; `("", "")` is any other line.

    All LLM calls have the event `llm.`.
    """
    schema = read_schema()
    definitions = schema["$defs"]

    def types(name: str) -> Types:
        found = {
            field: _types_of(rule, definitions)
            for field, rule in definitions[name].get("properties", {}).items()
        }
        return {field: allowed for field, allowed in found.items() if allowed}

    line: Types = {**types("line"), **dict.fromkeys(_TEXTS, frozenset({str}))}
    table = {("", ""): line}
    for choice in schema["allOf"]:
        when = choice["if"]["properties"]
        event = when["event"].get("const", "llm.")
        name = choice["then"]["$ref"].rpartition("/")[2]
        table[when["logger"]["const"], event] = {**line, **types(name)}
    return table


def keys() -> Types:
    """Return each key of the library's lines, in the schema's order; empty types are any type."""
    definitions = read_schema()["$defs"]
    found: Types = dict.fromkeys(REQUIRED, frozenset({str}))
    for definition in definitions.values():
        for name, rule in definition.get("properties", {}).items():
            types = _types_of(rule, definitions)
            found[name] = found.get(name, frozenset()) | types
    return {**found, **dict.fromkeys(_TEXTS, frozenset({str}))}


_TYPES = _types_of_events()
_ANY_LINE = _TYPES["", ""]
