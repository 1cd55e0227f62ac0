"""The answers and lines of applications while Sentry's host fails, in a comparable form."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from tests.bugsink.hosts import HOSTS
from tests.bugsink.services import AT_ONCE, KINDS, Kind, Service
from tests.bugsink.stories import DEBUG, LOGGED, PLAIN
from tests.support.server import uvicorn

SERVED = {
    "starlette": Kind("tests.apps.starlette_app:app", uvicorn, rate="1"),
    "flask": KINDS["flask"],
}
NO_HOST = "none"


class Observed:
    """The behaviour of an application, seen from outside.

    Attributes:
        answers: Its answer to each request.
        lines: Its standard output, sorted: the processes of a server write side by side.
        err: Its standard error.
        status: Its exit status.
        seconds_to_stop: The time that its stop took.
    """

    def __init__(self, kind: Kind, dsn: str) -> None:
        """Start it, ask it, and stop it."""
        with Service(kind, SENTRY_DSN=dsn) as service:
            service.server.wait_until_ready()
            service.ask(DEBUG, "debug", method="POST")
            for path in ("/broken-stream", "/unavailable", *LOGGED, *PLAIN):
                service.ask(path, re.sub(r"\W", "-", path))
            before = time.monotonic()
            self.status = service.stop()
        self.seconds_to_stop = time.monotonic() - before
        self.answers = service.answers
        self.lines = sorted(
            _comparable(line) for line in service.lines if line["event"] != "sentry_initialized"
        )
        self.err = service.err


def _comparable(line: dict[str, Any]) -> str:
    """Return a line without times, numbers of processes and ports, and Sentry's own frames."""
    same = {
        key: value
        for key, value in line.items()
        if key not in {"timestamp", "latency_ms", "ttfb_ms", "sentry"}
    }
    same["event"] = re.sub(r"\d+", "N", line["event"])
    if "exception" in line:
        same["exception"] = line["exception"].splitlines()[-1]
    return json.dumps(same)


def observe() -> dict[tuple[str, str], Observed]:
    """Serve each application with each of the hosts, and without one."""
    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        hosts = {name: stack.enter_context(host()) for name, host in HOSTS.items()}
        dsns = {NO_HOST: "", **{name: host.dsn for name, host in hosts.items()}}
        started = {
            (kind, name): pool.submit(Observed, served, dsn)
            for kind, served in SERVED.items()
            for name, dsn in dsns.items()
        }
        observed = {name: future.result() for name, future in started.items()}
        assert [] == [name for name, host in hosts.items() if not host.was_contacted()]
        return observed
