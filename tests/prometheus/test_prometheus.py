"""A real Prometheus server scrapes services, answers PromQL, and runs the rules of docs/prometheus.

Three instances of the example service stand behind a client that calls them in turn.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from contextlib import ExitStack
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from examples.processes import start_app, start_provider
from tests.prometheus.server import RULES, Prometheus
from tests.support import loopback
from tests.support.examples import ask, client_of, lines_until
from tests.support.programs import program
from tests.support.server import gunicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from examples.processes import Server

pytest.importorskip("fastapi")
pytest.importorskip("gunicorn")
pytest.importorskip("prometheus_client")
PROMETHEUS = program("prometheus")
PROMTOOL = program("promtool", "prometheus")

REQUESTS = "http_server_request_duration_seconds"
ON = {"PANTHEON_OBS_METRICS_PATH": "/metrics"}
CHAT, STREAM = "/api/v1/chat", "/api/v1/chat/stream"
KINDS = [
    ("POST", CHAT, ask("fast"), CHAT),
    ("POST", CHAT, ask("smart"), CHAT),
    ("POST", STREAM, ask("fast"), STREAM),
    ("POST", CHAT, ask("local?fail=500"), CHAT),
    ("GET", "/sentry-debug", None, "/sentry-debug"),
    ("GET", "/nowhere/7", None, ""),
]
CLOSE = {"connection": "close"}  # uvicorn closes a connection that was idle for some seconds
INSTANCES, WAVES = 3, 3


class Served(NamedTuple):
    """The state after the last request."""

    prometheus: Prometheus
    responses: list[tuple[str, tuple[str, str, str]]]  # the id, and method, route and status
    events: list[dict[str, Any]]  # the merged log


@pytest.fixture(scope="module")
def served(unmeasured: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve three instances and one service with facts of each kind; send waves of requests."""
    with (
        ExitStack() as stack,
        start_provider() as provider,
        start_app(provider.url, env=ON) as a,
        start_app(provider.url, env=ON) as b,
        start_app(provider.url, env=ON) as c,
        gunicorn("tests.prometheus.apps.every_fact:app", env=ON) as every_fact,
    ):
        instances = [a, b, c]
        clients = [stack.enter_context(client_of(server)) for server in instances]
        jobs = {
            "chat": [server.url.removeprefix("http://") for server in instances],
            "every-fact": [every_fact.url.removeprefix("http://")],
        }
        with Prometheus(PROMETHEUS, tmp_path_factory.mktemp("prometheus"), jobs) as prometheus:
            responses: list[tuple[str, tuple[str, str, str]]] = []
            in_turn = cycle(clients)
            for wave in range(1, WAVES + 1):
                for method, path, body, route in KINDS:
                    for _ in range(INSTANCES):
                        response = next(in_turn).request(method, path, json=body, headers=CLOSE)
                        key = (method, route, str(response.status_code))
                        responses.append((response.headers["x-trace-id"], key))
                assert 200 == loopback.get(every_fact.url).status_code
                wait_for_scrape(prometheus, len(responses), wave)
            yield Served(prometheus, responses, events_of(instances, responses))


def wait_for_scrape(prometheus: Prometheus, requests: int, facts: int) -> None:
    """Wait until all that has happened is in Prometheus."""
    for job, expected in (("chat", requests), ("every-fact", 3 * facts)):
        query = f'sum(max_over_time({REQUESTS}_count{{job="{job}"}}[1m]))'
        prometheus.wait_for(
            lambda query=query, expected=expected: prometheus.query(query).get(()) == expected,
            f"{expected} requests of {job}",
        )


def events_of(
    instances: list[Server], responses: list[tuple[str, tuple[str, str, str]]]
) -> list[dict[str, Any]]:
    """Merge the logs of all instances, once each has the line of its last request."""
    for place, server in enumerate(instances, -len(instances)):
        last = responses[place][0]
        lines_until(server, lambda line, last=last: last in line and "request_finished" in line)
    return [json.loads(line) for server in instances for line in server.lines]


def test_each_response_has_one_line_and_is_counted_once(served: Served) -> None:
    """The client's own count, the merged log and the summed counters of all instances agree."""
    prometheus, responses, events = served
    finished = Counter(e["trace_id"] for e in events if e["event"] == "request_finished")
    by = "http_request_method, http_response_status_code, http_route"

    counted = prometheus.query(f'sum by ({by}) ({REQUESTS}_count{{job="chat"}})')

    assert Counter(trace_id for trace_id, _ in responses) == finished
    expected = Counter((method, status, route) for _, (method, route, status) in responses)
    # Prometheus leaves out a label that is empty.
    assert {tuple(filter(None, key)): count for key, count in expected.items()} == counted
    shares = prometheus.query(f'sum by (instance) ({REQUESTS}_count{{job="chat"}})')
    assert [len(responses) / INSTANCES] * INSTANCES == list(shares.values())
    assert {(): 0.0} == prometheus.query('sum(http_server_active_requests{job="chat"})')


def test_promql_answers_how_fast_and_how_well(served: Served) -> None:
    """Rates, quantiles and ratios come out as the client has seen them."""
    query = served.prometheus.query
    chat = '{job="chat"}'

    rates = query(f"sum by (http_route) (rate({REQUESTS}_count{chat}[1m]))")
    p99 = query(
        f"histogram_quantile(0.99, sum by (le, http_route) (rate({REQUESTS}_bucket{chat}[1m])))"
    )
    failed = 'job="chat", http_response_status_code=~"5.."'
    errors = query(
        f"sum(rate({REQUESTS}_count{{{failed}}}[1m])) / sum(rate({REQUESTS}_count{chat}[1m]))"
    )

    routes = {(CHAT,), (STREAM,), ("/sentry-debug",), ()}
    assert routes == {key for key, rate in rates.items() if rate > 0}
    assert routes == {key for key, seconds in p99.items() if 0 < seconds <= 10}
    # Two of the six kinds fail; the time between two scrapes is extrapolated.
    assert pytest.approx(2 / 6, rel=0.3) == errors[()]


def test_promql_answers_what_the_models_use_and_cost(served: Served) -> None:
    """Tokens per minute by model and cost per hour by alias; the totals are those of the log."""
    query, events = served.prometheus.query, served.events
    tokens, cost = "gen_ai_client_inference_usage_input_tokens_total", "pantheon_llm_cost_usd_total"
    calls = [event for event in events if event["event"].startswith("llm.")]
    chat, by = '{job="chat"}', "sum by (gen_ai_request_model)"

    per_minute = query(f"60 * {by} (rate({tokens}{chat}[1m]))")
    per_hour = query(f"3600 * {by} (rate({cost}{chat}[1m]))")

    for field, metric, rates in (
        ("input_tokens", tokens, per_minute),
        ("cost_usd", cost, per_hour),
    ):
        totals: dict[tuple[str, ...], float] = {}
        for call in calls:
            if call.get(field):
                key = (call["model_alias"],)
                totals[key] = totals.get(key, 0) + call[field]
        assert {("fast",), ("smart",)} == totals.keys()
        assert totals.keys() == {key for key, rate in rates.items() if rate > 0}
        assert pytest.approx(totals) == query(f"{by} ({metric}{chat})")


def test_an_exemplar_leads_to_its_request_in_the_log(served: Served) -> None:
    """Prometheus stores the trace id beside a bucket."""
    exemplars = [
        exemplar
        for series in served.prometheus.get(
            "query_exemplars",
            query=f'{REQUESTS}_bucket{{job="chat"}}',
            start="0",
            end="9999999999",
        )
        for exemplar in series["exemplars"]
    ]
    finished = {
        event["trace_id"]: event for event in served.events if event["event"] == "request_finished"
    }

    assert exemplars
    for exemplar in exemplars:
        event = finished[exemplar["labels"]["trace_id"]]
        assert pytest.approx(event["latency_ms"] / 1000, abs=1e-4) == float(exemplar["value"])


DASHBOARD: dict[str, Any] = json.loads((RULES / "dashboard.json").read_text())


@pytest.mark.parametrize(
    ("title", "promql"),
    [
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    ],
)
def test_each_query_of_the_dashboard_finds_something(
    served: Served, title: str, promql: str
) -> None:
    """The variables stand for all that there is."""
    for variable, value in (("job", "every-fact"), ("instance", ".*"), ("__rate_interval", "1m")):
        promql = promql.replace(f"${variable}", value)

    found = served.prometheus.query(promql)

    assert found, title
    assert all(value == value for value in found.values()), found  # noqa: PLR0124 - none is NaN


def test_the_variables_of_the_dashboard_find_the_services(served: Served) -> None:
    """The first chooses the service, the second its instances."""
    queries = [each["query"]["query"] for each in DASHBOARD["templating"]["list"][1:]]
    asked = [query.removeprefix("label_values(").rpartition(", ") for query in queries]

    found = [
        served.prometheus.query(f"count by ({label[:-1]}) ({metric})".replace("$job", "chat"))
        for metric, _, label in asked
    ]

    assert {("chat",), ("every-fact",)} == found[0].keys()
    assert INSTANCES == len(found[1])


def test_every_rule_is_evaluated_without_an_error(served: Served) -> None:
    """Each recording rule whose window has data has a result."""

    def evaluated() -> list[dict[str, Any]] | None:
        groups = served.prometheus.get("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] == "ok" for rule in rules) else None

    rules = served.prometheus.wait_for(evaluated, "the first evaluation")

    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    assert 16 == len(recorded)
    for name in recorded:
        series = f'{name}{{job="every-fact"}}'
        assert served.prometheus.wait_for(
            lambda series=series: served.prometheus.query(series), name
        )


@pytest.mark.parametrize(
    "command",
    ["check config prometheus.yml", "check rules rules.yml alerts.yml", "test rules tests.yml"],
)
def test_promtool_accepts_the_rules_and_their_tests_pass(command: str) -> None:
    """They are the files of `docs/prometheus`."""
    done = subprocess.run(
        [PROMTOOL, *command.split()], cwd=RULES, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_each_alert_has_a_test_in_which_it_fires() -> None:
    """An alert that never fires is worse than none."""
    tests = (RULES / "tests.yml").read_text()
    alerts = [
        line.split()[-1]
        for line in (RULES / "alerts.yml").read_text().splitlines()
        if line.strip().startswith("- alert:")
    ]
    fired = {block.split()[0] for block in tests.split("alertname: ")[1:] if "exp_alerts:" in block}

    assert set(alerts) == fired
