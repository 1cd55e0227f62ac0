"""Work in other processes, forked and spawned, as the recipe in the docs sends it there."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

# The recipe, which the test takes from the docs.
from recipe import in_trace, inject  # type: ignore[import-not-found]

from pantheon_obs import configure_logging, current_trace_id, get_logger, trace_context

configure_logging(log_format="json")


def work(name: str) -> str:
    """Log the name, and return the id."""
    get_logger("shop").info(name)
    return current_trace_id.get()


def main(method: str) -> None:
    """Send the work to other processes."""
    context = multiprocessing.get_context(method)
    with trace_context(f"request-{method}") as trace_id:
        carrier = inject({})
    process = context.Process(target=in_trace, args=(carrier, work, f"{method}-process"))
    process.start()
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        traced = pool.submit(in_trace, carrier, work, f"{method}-pool")
        fresh = pool.submit(in_trace, {}, work, f"{method}-fresh")
        plain = pool.submit(work, f"{method}-plain")
    process.join()
    assert (trace_id, 36, "") == (traced.result(), len(fresh.result()), plain.result())


if __name__ == "__main__":
    main("fork")
    main("spawn")
