"""The errors of a trace, the cause first."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.reading.schema import ERROR_LEVELS
from pantheon_obs.cli.stories.items import format_time
from pantheon_obs.cli.stories.tracebacks import Raised, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.cli.reading.lines import Line
    from pantheon_obs.cli.stories.items import Item
    from pantheon_obs.cli.stories.parents import Units


def errors(lines: Iterable[Line], ids: dict[Item, int], units: Units) -> list[dict[str, Any]]:
    """Return an entry for each line at `error` or `critical`.

    Args:
        lines: The lines of the trace by time.
        ids: The units and calls of the trace, and their ids.
        units: The units of the trace.
    """
    items = {item.order: item for item in ids}
    found = []
    for place, line in enumerate(lines):
        fields = line.fields
        if fields["level"] not in ERROR_LEVELS:
            continue
        item = items.get(place)
        if item is None:
            unit = item = units.around(line.service, line.time, line.time, 0)
        else:
            unit = units.of_call(item) if item.kind == "llm" else item
        entry = {
            **_described(fields)._asdict(),
            "service": line.service,
            "timestamp": format_time(line.time),
            "event": fields["event"],
            "item": None if item is None else ids[item],
        }
        is_call = item is not None and item.kind == "llm"
        found.append((_rank(unit, fields, place, is_call=is_call), entry))
    found.sort(key=lambda pair: pair[0])
    return [entry for _, entry in found]


def _described(fields: dict[str, Any]) -> Raised:
    """Read type, message and frame of a line: its `error_type` counts before its traceback's."""
    named = fields.get("error_type", "").rpartition(".")[2]
    raised = read(fields["exception"]) if "exception" in fields else Raised(None, None, None)
    return raised._replace(type=named or raised.type)


def _rank(
    unit: Item | None, fields: dict[str, Any], place: int, *, is_call: bool
) -> tuple[bool, float, int, int, int]:
    """Sort by unit, the shortest first: a callee never takes longer than its caller."""
    if unit is None or not unit.failed:
        return True, 0, 0, 0, place
    duration = inf if unit.duration is None else unit.duration
    kind = 0 if "exception" in fields else 1 if is_call else 2
    return False, duration, unit.order, kind, place
