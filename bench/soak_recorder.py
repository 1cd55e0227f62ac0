"""Keep lines of many open streams aside, and check that memory is flat and no line is uncounted.

`python -m bench.soak_recorder` opens 1,000 streams, each of which says 10,000 lines at DEBUG, in
turn. Then all of them fail: each line must have been written or counted in `lines_not_recorded`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.harness import lines_written
from pantheon_obs import configure_logging, get_logger
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin, current_trace, end
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.sinks.logs.buffer import MEMORY

GROWTH = 4 * 1024 * 1024  # bytes of resident memory beside what the recorder may use
_log = get_logger("bench.soak")


def run(streams: int, lines: int) -> list[str]:
    """Open the streams, let them log and fail; list the faults."""
    exchanges = [_opened(f"stream-{number}") for number in range(streams)]
    before = _resident()
    peak = before
    for number in range(lines):
        for exchange in exchanges:
            current_trace.set(exchange)
            _log.debug("chunk", number=number, text="x" * 60)
        peak = max(peak, _resident())
    written = lines_written(lambda: [_fail(exchange) for exchange in exchanges])
    events = [json.loads(line) for line in written]
    recorded = sum(event["event"] == "chunk" for event in events)
    left_out = sum(event.get("lines_not_recorded", 0) for event in events)
    print(
        f"recorder: {streams} streams, {lines} lines each, {recorded} written, {left_out} counted, "
        f"resident memory {before >> 20} MiB, at most {peak >> 20} MiB"
    )
    problems = []
    if peak > before + MEMORY + GROWTH:
        problems.append(f"recorder: resident memory has grown from {before} to {peak}")
    if recorded + left_out != streams * lines:
        problems.append(f"recorder: {recorded} + {left_out} of {streams * lines} lines")
    return problems


def _opened(trace_id: str) -> Exchange:
    exchange = Exchange(trace_id)
    begin(exchange)
    exchange.watch("GET", "/", "", frozenset())
    pipeline.started(exchange)
    exchange.started(200)
    return exchange


def _fail(exchange: Exchange) -> None:
    current_trace.set(exchange)
    exchange.escaped(OSError("cut"))
    exchange.finish()
    end(exchange, suspended=True)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def main() -> int:
    """Soak the recorder.

    Returns:
        0, or 1 if anything is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.soak_recorder", description=__doc__)
    parser.add_argument("--streams", type=int, default=1000, help="that are open at once (1000)")
    parser.add_argument("--lines", type=int, default=10_000, help="of each of them (10000)")
    options = parser.parse_args()
    configure_logging(log_format="json", debug_on_error=True)
    problems = run(options.streams, options.lines)
    print(*problems, sep="\n", file=sys.stderr, end="\n" if problems else "")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
