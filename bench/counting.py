"""Count the instructions of contenders in place of timing them, while callgrind looks on.

callgrind counts within one function of the interpreter, and writes the sum when that returns: a
file for each contender, in their order. Hardly anything else calls it, and nothing for long.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.cases import Case, Contender

FUNCTION = (
    "PyMapping_GetItemString" if sys.version_info < (3, 13) else "PyMapping_GetOptionalItemString"
)
PIECES = 300

LIMITS = {
    "ASGI, trace id made": 4.0,
    "ASGI, trace id made, line disabled": 5.5,
    "ASGI, whole story made": 4.0,
    "Django WSGI, whole story": 4.5,
    "log line, 6 fields": 4.2,
    "log line, 6 fields, stdlib": 1.5,
    "disabled debug call": 3.0,
}
"""By the work: how many times the instructions of the code by hand this library may take."""


class _Run:
    """Runs a contender when it is asked for a key."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender

    def __getitem__(self, _: str) -> None:
        self._contender.run(PIECES)


def count(case: Case) -> None:
    """Have the contenders of a case counted; name them on standard error."""
    named = {"bare": case.bare, "hand": case.hand, "ours": case.ours}
    contenders = {name: contender for name, contender in named.items() if contender is not None}
    for contender in contenders.values():
        contender.run(PIECES)  # the interpreter specialises code that has run a few times
    gc.collect()
    gc.freeze()
    for contender in contenders.values():
        gc.collect()
        ctypes.pythonapi.PyMapping_HasKeyString(ctypes.py_object(_Run(contender)), b"")
    print(json.dumps([os.getpid(), case.work, *contenders]), file=sys.stderr)
