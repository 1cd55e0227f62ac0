"""Measure `pantheon-obs` on a large log beside grep, jq and DuckDB; each slice is one process."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cases import Case, Contender, MisbehavedError, Target
from bench.harness import compare
from bench.imports import children
from pantheon_obs.core.trace_id import to_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.cases import Effort, Row

WANTED = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
LARGE = 1_000_000_000  # bytes, before they are zipped
_OFF = ("COVERAGE_PROCESS_START", "PYTHONDONTWRITEBYTECODE")
# DuckDB's own scan, which reads every key of the lines below.
_SCAN = """
import duckdb, sys
texts = "timestamp level event logger trace_id method path route outcome service".split()
numbers = "status_code latency_ms".split()
columns = {**dict.fromkeys(texts, "VARCHAR"), **dict.fromkeys(numbers, "DOUBLE")}
chosen = ", ".join([*(f"count({key})" for key in texts), *(f"sum({key})" for key in numbers)])
scan = f"SELECT {chosen} FROM read_ndjson('{sys.argv[1]}', columns={columns})"
print(duckdb.sql(scan).fetchall())
"""
_OURS = (sys.executable, "-m", "pantheon_obs")


def rows(effort: Effort) -> list[Row]:
    """Compare the start with a bare interpreter, and the search of one id with grep and jq."""
    rounds = replace(effort, rounds=max(1, effort.import_rounds // 6))
    with tempfile.TemporaryDirectory() as folder:
        return [compare(case, rounds, clock=children, pieces=1) for case in _cases(effort, folder)]


def _cases(effort: Effort, folder: str) -> Iterator[Case]:
    bare = _process((sys.executable, "-c", "pass"))
    yield Case(
        work="start (hand: argparse, orjson)",
        bare=bare,
        hand=_process((sys.executable, "-c", "import argparse, orjson")),
        ours=_process((*_OURS, "story", "--help")),
        target=Target(micros=120_000),
    )
    log = Path(folder) / "shop.log"
    with log.open("wb") as file:
        file.writelines(_blocks(effort.log_bytes))
    jq = shutil.which("jq")
    select = f'select(.trace_id == "{WANTED}")'
    yield Case(
        work=f"story in {effort.log_bytes // 1_000_000} MB (grep, jq)",
        hand=_process(("grep", "-F", WANTED, str(log)), WANTED),
        peer=_process((jq, "-c", select, str(log)), WANTED) if jq else None,
        ours=_process((*_OURS, "story", WANTED, str(log), "--json"), WANTED),
        target=Target(micros=500_000),
    )
    yield Case(
        work=f"report of {effort.log_bytes // 1_000_000} MB (hand: DuckDB's scan)",
        hand=_process((sys.executable, "-c", _SCAN, str(log))),
        ours=_process((*_OURS, "report", str(log), "--json"), '"requests"'),
        target=Target(hand=2.5),
    )
    if effort.is_large:
        zipped = Path(folder) / "large.log.gz"
        with gzip.open(zipped, "wb", compresslevel=6) as file:
            file.writelines(_blocks(LARGE))
        pipe = f"gzip -dc {zipped} | grep -F {WANTED}"
        yield Case(
            work="story in 1 GB of .gz (zcat | grep)",
            hand=_process(("sh", "-c", pipe), WANTED),
            ours=_process((*_OURS, "story", WANTED, str(zipped), "--json"), WANTED),
            target=Target(micros=5_000_000),
        )


def _blocks(size: int) -> Iterator[bytes]:
    """Make lines of requests, with the wanted one at the end."""
    chance = random.Random(1)  # noqa: S311 - the same log each time
    form = (
        '{{"timestamp":"2026-11-29T21:{:02}:{:02}.{:06}Z","level":"info",'
        '"event":"request_finished","logger":"pantheon_obs.request","trace_id":"{}",'
        '"method":"GET","path":"/orders/{}","route":"/orders/{{id}}","status_code":200,'
        '"latency_ms":{:.3f},"outcome":"ok","service":"shop"}}\n'
    )
    block = "".join(
        form.format(
            number // 1000 % 60,
            number % 60,
            number,
            to_uuid(f"{chance.getrandbits(128):032x}"),
            number,
            chance.random() * 100,
        )
        for number in range(20_000)
    ).encode()
    for _ in range(size // len(block) + 1):
        yield block
    yield form.format(0, 0, 0, WANTED, 7, 1.5).encode()


def _process(command: Sequence[str], expected: str = "") -> Contender:
    """Run a command for each piece of work, and check its output once."""
    environ = {key: value for key, value in os.environ.items() if key not in _OFF}

    def run(pieces: int) -> None:
        for _ in range(pieces):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)  # noqa: S603 - our own

    def check() -> None:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environ)  # noqa: S603 - our own
        if expected.encode() not in done.stdout:
            msg = f"{command[0]} does not print {expected}"
            raise MisbehavedError(msg)

    return Contender(run=run, check=check)
