"""Ask the process for its event loop, and register functions that are called when it forks."""

from __future__ import annotations

import os
import sys
from typing import Any

on_fork: Any = getattr(os, "register_at_fork", lambda **_: None)
"""`os.register_at_fork`; without effect on Windows, which does not fork."""


def running_loop() -> Any:  # noqa: ANN401 - asyncio may not be imported
    """Return asyncio's loop that runs this code; None without one. asyncio is not imported.

    Another thread may be importing it: it lacks the function then.
    """
    find = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)  # does not raise
    return None if find is None else find()
