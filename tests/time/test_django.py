"""Django's connections and caches, in a process of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.django import run
from tests.time.requests import adds_up, times

if TYPE_CHECKING:
    from examples.databases import Redis

APP = "tests.apps.django_app.times"

pytest.importorskip("django")
pytest.importorskip("redis")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, redis_server: Redis) -> list[dict[str, Any]]:
    """All lines of the program."""
    directory = tmp_path_factory.mktemp("databases")
    sqlite = {"ENGINE": "django.db.backends.sqlite3"}
    settings = {
        "ROOT_URLCONF": APP,
        "INSTALLED_APPS": ["pantheon_obs.adapters.django", "django.contrib.contenttypes"],
        "MIDDLEWARE": [
            "pantheon_obs.adapters.django.TraceIdMiddleware",
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.common.CommonMiddleware",
            f"{APP}.talkative",
        ],
        "DATABASES": {
            name: {**sqlite, "NAME": str(directory / name)} for name in ("default", "other")
        },
        "CACHES": {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "redis": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": redis_server.url,
            },
        },
        "PANTHEON_OBS": {"log_format": "json", "debug_on_error": True},
    }
    status, lines, errors = run("-c", f"from {APP} import main; main()", settings=settings)
    assert (0, "") == (status, errors)
    return lines


@pytest.fixture
def lines(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of the requests that end well."""
    return [
        line for line in written if line["event"] == "request_finished" and "failed" not in line
    ]


def of(lines: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Find the first request of a name."""
    return next(line for line in lines if line.get("path") == f"/{name}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("models", {"db_calls": 2}),
        ("query", {"db_calls": 1}),
        ("repeated", {"db_calls": 50}),
        ("wrapped", {"db_calls": 2}),
        ("failing", {"db_calls": 1}),
        ("thread", {"db_calls": 1}),
        ("cached", {"cache_calls": 5}),
        ("redis_cached", {"cache_calls": 3}),
        ("async_cached", {"db_calls": 1, "cache_calls": 2}),
    ],
)
def test_each_statement_and_each_call_of_a_cache_counts_once(
    lines: list[dict[str, Any]], name: str, expected: dict[str, int]
) -> None:
    """Nested calls count once, whichever is the outer one."""
    line = of(lines, name)
    assert expected == times(line)
    assert adds_up(line)


def test_a_page_that_asks_for_one_row_at_a_time_shows_the_statement(
    lines: list[dict[str, Any]],
) -> None:
    """Without its values."""
    line = of(lines, "repeated")
    assert 50 == line["db_repeats"]
    assert '"django_content_type"' in line["db_repeated"]
    assert "secret" not in line["db_repeated"]


def test_async_requests_count_the_same(lines: list[dict[str, Any]]) -> None:
    """Their sync code runs in a thread of Django's."""
    models, cached, both = lines[-3:]
    assert [{"db_calls": 2}, {"cache_calls": 3}, {"db_calls": 1, "cache_calls": 2}] == [
        times(line) for line in (models, cached, both)
    ]


def test_a_failed_request_has_its_debug_lines_through_the_chain_of_middlewares(
    written: list[dict[str, Any]],
) -> None:
    """Sync and async views under both clients, with a middleware that is sync only; others none."""
    failed = [line["trace_id"] for line in written if line.get("failed")]

    assert 4 == len(failed)
    for trace_id in failed:
        own = [line for line in written if line.get("trace_id") == trace_id]
        assert [
            ("info", "paying"),
            ("debug", "before the view"),
            ("debug", "in the view"),
            ("debug", "after the view"),
            ("error", "request_finished"),
        ] == [(line["level"], line["event"]) for line in own]
        assert 1 == sum("exception" in line for line in own)
    assert {*failed} == {line["trace_id"] for line in written if line["level"] == "debug"}
