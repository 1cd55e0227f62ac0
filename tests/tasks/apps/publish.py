"""A process that publishes to the shop's worker, and prints the results as one JSON object.

It reads a line of standard input before it publishes the tasks that end their process.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pantheon_obs import bind, trace_context
from tests.support.server import SECONDS, wait_until
from tests.tasks.apps import shop


def results() -> dict[str, Any]:
    """Publish each case in a trace of its name; wait for the results that come."""
    app = shop.app
    sent: dict[str, Any] = {}

    def send(case: str, task: Any, *args: Any, **options: Any) -> None:
        with trace_context(case):
            bind(user_id=7, api_key="k-1234", note="stays", tags=["x"])
            sent[case] = task.apply_async(args, **options)

    send("hang", shop.hang)
    send("wait", shop.wait)
    wait_until(lambda: sent["wait"].state == "WAITING")
    app.control.revoke(sent["wait"].id, terminate=True, signal="SIGKILL")
    sent["hang"].get(SECONDS, propagate=False)
    with trace_context("unknown"):
        app.send_task("shop.missing")
    send("order", shop.order)
    send("pipeline", shop.pipeline)
    send("flaky", shop.flaky)
    send("fail", shop.fail, "password=hunter2")
    send("ignore", shop.ignore)
    send("reject", shop.reject)
    send("slow", shop.slow)
    send("chat", shop.chat)
    send("stock", shop.stock)
    send("speak", shop.speak)
    send("expired", shop.add, 1, expires=-1)
    send("own", shop.order, headers={"tenant": "acme"})
    send("hostile", shop.trace, headers={"x-trace-id": "forged\nline"})
    sent["untraced"] = shop.trace.delay()
    send("pickle", shop.double, shop.Money(4))
    # Last, as a process that is about to end may be given the next task before that.
    for case in ("order", "own", "pipeline", "flaky", "slow", "chat", "stock", "speak", "pickle"):
        sent[case].get(SECONDS)
    wait_until(lambda: sent["fail"].state == "FAILURE")
    sys.stdin.readline()
    send("leave", shop.leave)
    sent["leave"].get(SECONDS, propagate=False)
    send("stored", shop.stored)
    sent["stored"].get(SECONDS, propagate=False)
    send("again", shop.again)
    sent["again"].get(SECONDS)
    send("crash", shop.crash)
    ended = {
        case: sent[case].get(SECONDS, propagate=False)
        for case in sent
        if case not in ("wait", "ignore", "reject", "expired")
    }
    found = {case: result for case, result in ended.items() if not isinstance(result, Exception)}
    found["errors"] = {
        case: repr(result) for case, result in ended.items() if isinstance(result, Exception)
    }
    return found


if __name__ == "__main__":
    json.dump(results(), sys.stdout)
