"""Script incidents: services that call one another, and the files of log lines that they leave.

The script knows the truth. It writes lines as the library writes them, each service by its own
clock, wraps, tears, mixes and rotates them, and says which story must come out.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

ZERO = datetime(2026, 11, 29, 21, 41, 7, tzinfo=UTC)
TRACE = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
SECOND = 1_000_000


def stamp(micros: int) -> str:
    """Write a time, which is given in microseconds since the incident began."""
    time = ZERO + timedelta(microseconds=micros)
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@dataclass(eq=False)
class Act:
    """A unit or call that the script has let happen; times are microseconds of its own clock."""

    kind: str
    name: str
    service: str
    start: int
    end: int
    failed: bool = False
    parent: Act | None = None
    span: str | None = None
    line: dict[str, Any] = field(default_factory=dict)

    @property
    def milliseconds(self) -> float:
        """The duration."""
        return (self.end - self.start) / 1000


class Incident:
    """One scripted trace, and the lines that its services have written."""

    def __init__(self, random: Random, *, spans: bool) -> None:
        self.random = random
        self.spans = spans
        self.acts: list[Act] = []
        self.errors: list[tuple[str | None, str | None, str]] = []  # type, message, event
        self.written: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        # The gateway's clock is the slowest, so that the first request is written as the first.
        self.skew = {"gateway": 0, "shop": random.randrange(2 * SECOND), "worker": 2 * SECOND}
        self.fails = random.random() < 0.5
        self._run()

    def say(self, service: str, micros: int, level: str, event: str, /, **fields: Any) -> None:
        """Let a service write a line at a time of its own clock."""
        logger = fields.pop("logger", f"{service}.app")
        line = {"timestamp": stamp(micros), "level": level, "event": event, "logger": logger}
        line |= {"trace_id": TRACE, **fields}
        self.written.setdefault(service, []).append((micros, line))

    def act(self, act: Act, level: str, event: str, **fields: Any) -> Act:
        """Let a unit or call end: its line is written."""
        act.failed = level == "error"
        if self.spans and act.kind != "llm":
            act.span = act.span or f"{self.random.getrandbits(64):016x}"
            fields["span_id"] = act.span
            if act.parent is not None and act.parent.span:
                fields["parent_span_id"] = act.parent.span
        self.acts.append(act)
        loggers = {"llm": "pantheon_obs.llm", "task": "pantheon_obs.task"}
        logger = loggers.get(act.kind, "pantheon_obs.request")
        self.say(
            act.service,
            act.end,
            level,
            event,
            logger=logger,
            latency_ms=act.milliseconds,
            service=act.service,
            **fields,
        )
        act.line = self.written[act.service][-1][1]
        return act

    def _run(self) -> None:
        """The gateway gets a request, calls the shop, and the worker gets a task."""
        random, length = self.random, self.random.randrange(3 * SECOND, 5 * SECOND)
        skew = self.skew["shop"]
        begin, end = SECOND // 10, length - SECOND
        inner = Act("request", "POST /pay/{id}", "shop", begin + skew, end + skew)
        outer = Act("request", "GET /chat/{id}", "gateway", 0, length)
        if self.spans:
            outer.span = f"{random.getrandbits(64):016x}"  # the shop is told before it ends
            inner.parent = outer
        self._talk("shop", inner.start, inner.end)
        self._calls(inner)
        level, failure = (
            ("error", {"outcome": "error"}) if self.fails else ("info", {"outcome": "ok"})
        )
        if self.fails:
            failure |= {"error_type": "Declined", "exception": traceback("shop.errors.Declined")}
        self.act(
            inner,
            level,
            "request_finished",
            method="POST",
            route="/pay/{id}",
            path="/pay/7",
            db_calls=3,
            db_ms=41.25,
            own_ms=12.5,
            card="[redacted]",
            **failure,
        )
        failure = {"outcome": "ok", "status_code": 502 if self.fails else 200}
        self.act(
            outer, level, "request_finished", method="GET", route="/chat/{id}", path="/chat/1",
            **failure, **({} if self.fails else {"keep_rate": 0.5}),
        )  # fmt: skip
        self._tasks(outer)
        if not self.spans:
            inner.parent = self._guess(inner)
        if self.fails:
            self.errors[:0] = [
                ("Declined", "no money\nleft", "request_finished"),
                *self.failed_calls,
                (None, None, "request_finished"),
            ]
        else:
            self.errors[:0] = self.failed_calls

    def _talk(self, service: str, start: int, end: int) -> None:
        """Say things, some of which were held back and written later."""
        for number in range(self.random.randrange(4)):
            at = self.random.randrange(start + 100, end - 100)
            recorded = {"recorded": True} if self.random.random() < 0.5 else {}
            level = "debug" if recorded else "info"
            self.say(service, at, level, f"step {number}", user_id="[redacted]", **recorded)

    def _calls(self, unit: Act) -> None:
        """Call a model: with a nested call, with one that fails, and with a stream that is cut."""
        self.failed_calls: list[tuple[str | None, str | None, str]] = []
        at = unit.start + 1000
        for _ in range(self.random.randrange(1, 4)):
            length = self.random.randrange(20_000, 200_000)
            outer = Act("llm", "llm.generate", unit.service, at, at + length, parent=unit)
            kind = self.random.choice(["ok", "nested", "error", "cut"])
            span = {"span_id": "f" * 16} if self.spans else {}
            if kind == "nested":
                parent = unit if self.spans else outer
                inner = Act("llm", "llm.chat", unit.service, at + 50, outer.end - 50, parent=parent)
                self.act(
                    inner, "info", "llm.chat", nested=True, outcome="ok", input_tokens=7, **span
                )
            usage: dict[str, Any] = {"input_tokens": 100, "output_tokens": 20, "cost_usd": 0.1}
            if kind in ("error", "cut"):
                name = "RateLimitError" if kind == "error" else "IncompleteStream"
                usage = {"input_tokens": None, "output_tokens": None, "error_type": name}
                self.failed_calls.append((name, None, "llm.generate"))
            level, ended = ("info", "ok") if kind in ("ok", "nested") else ("error", "error")
            self.act(
                outer, level, "llm.generate", model_alias="small", outcome=ended, **usage, **span
            )
            at = outer.end + self.random.randrange(1000, 50_000)
        if self.spans:
            unit.span = "f" * 16

    def _tasks(self, request: Act) -> None:
        """A task outlives its request, and is tried again when it fails."""
        at = request.start + 2 * SECOND + self.skew["worker"]
        tries = self.random.randrange(3)
        for number in range(tries):
            last = number == tries - 1
            length = self.random.randrange(4 * SECOND, 6 * SECOND)
            task = Act("task", "shop.mail", "worker", at, at + length, parent=request)
            self.say("worker", at + 5000, "warning", "slow relay")
            state = "SUCCESS" if last else "RETRY"
            level = "info" if last else "warning"
            self.act(task, level, "task_finished", task="shop.mail", state=state, retries=number)
            at += length + SECOND

    def _guess(self, inner: Act) -> Act | None:
        """Rule 4: the shortest unit of another service that contains it by the written clocks."""
        around = [
            act
            for act in self.acts
            if act.kind != "llm"
            and act.service != inner.service
            and act.start - 5000 <= inner.start
            and inner.end <= act.end + 5000
            and act.milliseconds > inner.milliseconds
        ]
        return min(around, key=lambda act: act.milliseconds, default=None)


def traceback(name: str) -> str:
    """Write a traceback that begins with a cause, and ends in a library."""
    return (
        "Traceback (most recent call last):\n"
        '  File "/srv/shop/cards.py", line 3, in charge\n    raise KeyError(1)\nKeyError: 1\n\n'
        "The above exception was the direct cause of the following exception:\n\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/shop/views.py", line 31, in pay\n    charge()\n    ~~~~~~^^\n'
        '  File "/srv/.venv/lib/python3.12/site-packages/bank/api.py", line 9, in call\n    x()\n'
        f"{name}: no money\nleft"
    )


def plain(text: str, random: Random) -> list[str]:
    """The line as it is."""
    return [text]


def docker(text: str, random: Random) -> list[str]:
    """Docker's json-file driver splits long lines."""
    middle = random.randrange(1, len(text))
    parts = [text[:middle], text[middle:] + "\n"] if random.random() < 0.5 else [text + "\n"]
    rest = {"stream": "stdout", "time": "2026-11-29T21:41:07.123456789Z"}
    return [json.dumps({"log": part, **rest}, separators=(",", ":")) for part in parts]


def cri(text: str, random: Random) -> list[str]:
    """The CRI splits long lines, and another stream's lines come between."""
    head = "2026-11-29T21:41:07.123456789Z"
    middle = random.randrange(1, len(text))
    if random.random() < 0.5:
        return [
            f"{head} stdout P {text[:middle]}",
            f"{head} stderr F Warning: something",
            f"{head} stdout F {text[middle:]}",
        ]
    return [f"{head} stdout F {text}"]


def compose(text: str, random: Random) -> list[str]:
    """`docker compose logs`, with colors or without."""
    return [random.choice(["\x1b[36mshop-1  | \x1b[0m", "shop-1  | "]) + text]


def syslog(text: str, random: Random) -> list[str]:
    """The two forms of syslog, and journald's."""
    return [
        random.choice(
            [
                "<14>1 2026-11-29T21:41:07.123456Z host shop 12 - - ",
                '<14>1 2026-11-29T21:41:07Z host shop - ID47 [a@1 b="c]\\"d"] ',
                "<14>Nov 29 21:41:07 host shop[12]: ",
                "Nov  9 21:41:07 host shop: ",
                "2026-11-29T21:41:07.123456+01:00 host shop[12]: ",
            ]
        )
        + text
    ]


WRAPPERS: tuple[Callable[[str, Random], list[str]], ...] = (plain, docker, cri, compose, syslog)


@dataclass
class Logs:
    """The files of an incident, and the expected story."""

    read: dict[str, int]
    lines: list[tuple[str, str, dict[str, Any]]]  # service, source, line
    paths: list[str]


def write(incident: Incident, folder: Path, random: Random) -> Logs:
    """Write the lines of all services into rotated files."""
    logs = Logs({"files": 0, "lines": 0, "foreign": 0, "torn": 0}, [], [])
    for service, written in sorted(incident.written.items()):
        wrap = random.choice(WRAPPERS)
        entries: list[tuple[int, dict[str, Any] | str]] = [*written]
        random.shuffle(entries)  # processes and threads write as they come
        other = json.dumps({**written[0][1], "trace_id": "another"})
        entries.insert(random.randrange(len(entries) + 1), (0, other))
        entries.insert(random.randrange(len(entries) + 1), (0, ""))
        if random.random() < 0.5:
            text = json.dumps(written[0][1])
            torn = text[: text.index(TRACE) + len(TRACE)]
            entries.insert(random.randrange(len(entries) + 1), (0, torn))
            logs.read["torn"] += 1
        if random.random() < 0.5:
            entries.insert(random.randrange(len(entries) + 1), (0, f"GET /?id={TRACE} 200"))
            logs.read["foreign"] += 1
        physical: list[str] = []
        firsts: list[tuple[int, dict[str, Any]]] = []
        for _, entry in entries:
            text = entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)
            if isinstance(entry, dict):
                firsts.append((len(physical), entry))
            physical += wrap(text, random) if text else [""]
        cuts = sorted(random.sample(range(1, len(physical)), min(2, len(physical) - 1)))
        bounds = [0, *cuts, len(physical)]
        names = [f"{service}.log.2.gz", f"{service}.log.1", f"{service}.log"][3 - len(bounds) + 1 :]
        for name, begin, end in zip(names, bounds, bounds[1:], strict=False):
            data = "".join(f"{line}\n" for line in physical[begin:end]).encode()
            path = folder / name
            path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
            logs.paths.append(str(path))
            logs.read["files"] += 1
            logs.read["lines"] += end - begin
            logs.lines += [
                (line.get("service", service), f"{path}:{place - begin + 1}", line)
                for place, line in firsts
                if begin <= place < end
            ]
    logs.lines.sort(key=lambda line: line[2]["timestamp"])
    return logs
