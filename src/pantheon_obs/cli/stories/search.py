"""Collect the lines of the trace that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.cli.stories.trace_ids import SHORTEST, Wanted, canonical
from pantheon_obs.cli.terminal import CommandError, note
from pantheon_obs.cli.wording import counted

if TYPE_CHECKING:
    from pantheon_obs.cli.reading.lines import Line, Reader

MOST_LINES = 100_000
MOST_BYTES = 128 << 20
_SHOWN = 20  # candidates


def search(reader: Reader, wanted: Wanted) -> list[Line]:
    """Return the lines of a trace in the order of the files.

    Raises:
        CommandError: No line was found, or the prefix belongs to several traces.
    """
    traces: dict[str, list[Line]] = {}
    names: dict[str, str] = {}
    size = count = left_out = 0
    for line in reader.lines(wanted.needle):
        trace_id = line.fields.get("trace_id")
        if trace_id is None:
            continue
        key = canonical(trace_id)
        if key != wanted.key and not wanted.begins(trace_id):
            continue
        names.setdefault(key, trace_id)
        found = traces.setdefault(key, [])
        if count < MOST_LINES and size < MOST_BYTES:
            count += 1
            size += len(line.raw)
            found.append(line)
        else:
            left_out += 1
    if wanted.key in traces:
        traces = {wanted.key: traces[wanted.key]}
    if len(traces) > 1:
        raise CommandError(_ambiguous(wanted, list(names.values())))
    if left_out:
        note(f"{left_out:,} more lines of this trace are left out: it is too long for a story")
    if not traces:
        raise CommandError(_nothing(wanted, reader.read), 1)
    return next(iter(traces.values()))


def _ambiguous(wanted: Wanted, candidates: list[str]) -> str:
    more = f" and {len(candidates) - _SHOWN:,} more" if len(candidates) > _SHOWN else ""
    return (
        f"{wanted.text} begins the ids of {len(candidates):,} traces: use one of "
        f"{', '.join(candidates[:_SHOWN])}{more}"
    )


def _nothing(wanted: Wanted, read: dict[str, int]) -> str:
    unusable = read["torn"] + read["foreign"]
    also = ""
    if unusable:
        verbs = "has it is" if unusable == 1 else "have it are"
        also = f"; {counted(unusable, 'line')} that {verbs} torn or foreign"
    if len(wanted.text) < SHORTEST:
        also += f"; the beginning of an id has {SHORTEST} or more characters"
    looked = f"{counted(read['lines'], 'line')} in {counted(read['files'], 'file')}"
    return f"no line of trace {wanted.text} found: looked through {looked}{also}"
