"""Show which functions a piece of work spends its bytecode instructions in.

`python -m bench.where story 'ASGI, whole story made'` prints instructions, calls and the function.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from bench import harness
from bench.cases import COUNTED
from bench.families import measure

if TYPE_CHECKING:
    from types import FrameType

    from bench.cases import Case

_PIECES = 50
_WARM = 300


def main() -> None:
    """Measure one work of one family."""
    family, work = sys.argv[1:]

    def count(case: Case) -> None:
        case.ours.run(_WARM)
        steps, calls = _traced(case)
        total = sum(steps.values())
        print(f"{total / _PIECES:.0f} instructions", file=sys.stderr)
        for name, number in steps.most_common():
            share = number / total
            print(
                f"{share:6.1%}{number / _PIECES:8.1f}{calls[name] / _PIECES:6.1f}  {name}",
                file=sys.stderr,
            )

    harness.count, harness.LIMITS = count, {work: 0.0}
    measure(family, COUNTED)


def _traced(case: Case) -> tuple[Counter[str], Counter[str]]:
    steps: Counter[str] = Counter()
    calls: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - as sys.settrace has it
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        code = frame.f_code
        name = f"{'/'.join(code.co_filename.split('/')[-3:])}:{code.co_name}"
        if event == "call":
            calls[name] += 1
        elif event == "opcode":
            steps[name] += 1
        return trace

    sys.settrace(trace)
    case.ours.run(_PIECES)
    sys.settrace(None)
    return steps, calls


if __name__ == "__main__":
    main()
