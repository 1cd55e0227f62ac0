"""Garbage collection that has happened when the call returns."""

from __future__ import annotations

import gc
import threading
import time


def collect_garbage() -> int:
    """Collect all garbage, and wait first while another thread collects.

    `gc.collect()` returns at once and collects nothing as long as a collection runs in another
    thread, for example in the one that loads the price list.

    Returns:
        The number of unreachable objects.
    """
    ours = threading.get_ident()
    ran: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2 and threading.get_ident() == ours:
            ran.append(ours)

    gc.callbacks.append(note)
    try:
        while True:
            found = gc.collect()
            if ran:
                return found
            time.sleep(0.001)
    finally:
        gc.callbacks.remove(note)
