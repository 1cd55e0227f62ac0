"""`schema`: the engines take the scripts, and sum what was loaded."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs.cli.reading.schema import PATH, read_schema
from tests.cli.incidents import TRACE
from tests.cli.written import call, line, request, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Run

OTHERS = {"user": {"a": [1, None]}, "nothing": None, 'q"': "it's", "shop_calls": 3}
CHOSEN = (
    'event, trace_id, latency_ms, status_code, nested, cost_usd, input_tokens, "window", options,'
    " service, fields"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with lines of ours, torn ones and foreign ones."""
    wrong = {"latency_ms": "12", "status_code": 1.6, "nested": "yes", "cost_usd": True}
    return save(
        tmp_path / "it.log",
        request(0, 100, status_code=200, **OTHERS),
        call(10, 20, cost_usd=0.25, input_tokens=7, nested=True, service="shop"),
        call(30, 40, cost_usd=1, input_tokens=8, output_tokens=None),
        line(50, "odd", **wrong, window="day", options=["a"], service=5),
        json.dumps(line(0))[:-1],
        json.dumps(line(0)).replace("-11-29", "-13-29"),
        json.dumps(line(0)).replace('"info"', "7"),
        "text",
        "null",
        "[]",
        "",
    )


def in_duckdb(script: str, load: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Run the script and the statement in DuckDB."""
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.execute(script)
    connection.execute(load)
    return lambda query: list(connection.execute(query).fetchall())


def in_clickhouse(script: str, load: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Run the script and the statement in ClickHouse's engine."""
    chdb = pytest.importorskip("chdb.session")
    session = chdb.Session()
    session.query(script[: script.index("-- load:")].rstrip().removesuffix(";"))
    session.query(load.removesuffix(";"))

    def query(text: str) -> list[tuple[Any, ...]]:
        answer = str(session.query(text, "JSONCompactEachRow"))
        return [tuple(json.loads(row)) for row in answer.splitlines()]

    return query


@pytest.mark.parametrize(
    ("name", "engine", "one_time"),
    [
        ("duckdb", in_duckdb, "strftime(min(timestamp), '%Y-%m-%d %H:%M:%S.%f')"),
        ("clickhouse", in_clickhouse, "toString(min(timestamp))"),
    ],
)
def test_an_engine_loads_a_file(
    run: Run, log: Path, name: str, engine: Callable[[str, str], Any], one_time: str
) -> None:
    """Torn and foreign lines are left out, and a value of a wrong type counts as absent."""
    script = run("schema", "--format", name).out
    [load] = re.findall(r"^-- load: (.*)$", script, re.MULTILINE)

    query = engine(script, load.replace("FILE", str(log)))

    assert 1 == script.count("CREATE TABLE")
    found = query(f"SELECT {CHOSEN} FROM pantheon_events ORDER BY timestamp")  # noqa: S608
    assert [
        ("llm.generate", TRACE, 10, None, True, 0.25, 7, None, None, "shop", {}),
        ("llm.generate", TRACE, 10, None, None, 1, 8, None, None, None, {}),
        ("odd", TRACE, None, None, None, None, None, '"day"', '["a"]', None, {}),
        ("request_finished", TRACE, 100, 200, None, None, None, None, None, None, OTHERS),
    ] == [(*row[:-1], json.loads(row[-1])) for row in found]
    [(latency, cost, first)] = query(
        f"SELECT sum(latency_ms), sum(cost_usd), {one_time} FROM pantheon_events"  # noqa: S608
    )
    assert (120, 1.25, "2026-11-29 21:41:07.020000") == (latency, cost, first)


@pytest.mark.parametrize("name", ["duckdb", "clickhouse"])
def test_each_key_of_the_library_has_a_column(run: Run, name: str) -> None:
    """And all others share one."""
    script = run("schema", "--format", name).out

    columns = re.findall(r'^  "(\w+)" ', script, re.MULTILINE)

    definitions = read_schema()["$defs"].values()
    keys = {key for rule in definitions for key in rule.get("properties", {})}
    assert keys | {"fields"} == set(columns)
    assert len(set(columns)) == len(columns)


def test_the_json_schema_is_that_of_the_package(run: Run) -> None:
    """It is printed as it ships."""
    assert PATH.read_text(encoding="utf-8") == run("schema").out
