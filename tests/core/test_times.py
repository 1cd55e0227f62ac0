"""The sums of one trace: calls, seconds, the union of intervals, and statements that repeat."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from sys import getsizeof

import pytest

from pantheon_obs.core.statements import readable
from pantheon_obs.core.times import Times, statement_of


def ran(times: Times, text: str) -> None:
    """Count a statement."""
    times.add("db", 0, 0, 1, statement_of(text, "sqlite"))


def test_the_parts_and_the_own_time_are_the_whole() -> None:
    """Calls one after the other leave the rest of the latency to the application."""
    times = Times()
    times.add("db", 10.0, 10.2)
    times.add("http", 10.3, 10.7)
    times.add("render", 10.75, 10.8)

    expected = {
        "db_calls": 1,
        "db_ms": 200.0,
        "http_calls": 1,
        "http_ms": 400.0,
        "render_calls": 1,
        "render_ms": 50.0,
        "own_ms": 350.0,
    }
    assert expected == times.fields(1000.0, 10.0, 11.0)


def test_calls_side_by_side_add_up_but_cover_their_time_once() -> None:
    """Twenty calls of a second at once are twenty seconds of calls, and one second of waiting."""
    times = Times()
    for _ in range(20):
        times.add("db", 1.0, 2.0)

    fields = times.fields(1500.0, 1.0, 2.5)

    assert (20, 20000.0, 500.0) == (fields["db_calls"], fields["db_ms"], fields["own_ms"])


def test_the_union_is_exact_for_any_intervals() -> None:
    """Whole numbers of seconds, in the order of their ends, give the union of their seconds."""
    chance = random.Random(16)  # noqa: S311 - no secret
    for _ in range(50):
        times, seconds = Times(), set[int]()
        ends = sorted(chance.randrange(1, 1000) for _ in range(400))
        for end in ends:
            start = max(0, end - chance.choice([0, 1, 2, 5, 90]))
            times.add("db", start, end)
            seconds |= set(range(start, end))
        inside = seconds & set(range(100, 900))
        assert len(inside) == pytest.approx(times.union(100, 900))


def test_a_million_calls_take_little_memory_and_are_still_added_up() -> None:
    """Old intervals are joined with their gaps; a call around all of them is still exact."""
    times = Times()
    for second in range(20_000):
        times.add("db", second, second + 0.5)

    assert 100_000 > sum(getsizeof(value) for value in vars(times).values())
    assert pytest.approx(10_000) == times.union(0, 20_000)
    assert pytest.approx(5_000, rel=0.01) == times.union(10_000, 20_000)
    times.add("", 0.25, 20_000)
    assert pytest.approx(20_000, rel=0.001) == times.union(0, 20_000)
    times.add("", 5_000.25, 20_001)
    assert pytest.approx(20_001, rel=0.001) == times.union(0, 20_001)


def test_a_call_does_not_wait_while_another_thread_adds_up() -> None:
    """It is added up with later ones."""
    times = Times()
    with ThreadPoolExecutor(1) as other:
        other.submit(times._lock.acquire).result()  # noqa: SLF001 - as that thread does
        for start in range(200):
            times.add("db", start, start + 1)
        other.submit(times._lock.release).result()  # noqa: SLF001 - as above

    assert (200, 200.0) == times.sums()[0]["db"]


def test_at_most_twenty_names_of_the_application_are_kept() -> None:
    """Further names leave no field, and their time stays the application's own."""
    times = Times()
    for number in range(30):
        times.add(f"part{number}", number, number + 1)
    times.add("cache", 30, 31)

    fields = times.fields(100_000.0, 0, 100)

    assert 21 == sum(name.endswith("_calls") for name in fields)
    assert 79_000.0 == fields["own_ms"]


def test_a_statement_counts_as_repeated_from_the_tenth_time_on() -> None:
    """The statement that ran most often is shown, without its literals."""
    times = Times()
    for number in range(50):
        ran(times, f"SELECT {number}")
        ran(times, "SELECT * FROM rows WHERE kind = 'x' AND id = ?")
        if number == 8:
            assert "db_repeats" not in times.fields(1.0, 0, 1)

    fields = times.fields(1.0, 0, 1)

    assert 50 == fields["db_repeats"]
    assert "SELECT * FROM rows WHERE kind = ? AND id = ?" == fields["db_repeated"]


def test_statements_that_ran_before_a_task_are_not_the_tasks() -> None:
    """A task that its caller waits for has its own share of the sums."""
    times = Times()
    for _ in range(30):
        ran(times, "SELECT a")
    before = times.sums()
    for _ in range(12):
        ran(times, "SELECT b")

    fields = times.fields(1.0, 0, 1, before)
    assert (12, 12, "SELECT b") == (
        fields["db_calls"],
        fields["db_repeats"],
        fields["db_repeated"],
    )


def test_very_many_texts_are_forgotten_again() -> None:
    """Texts that came once make room; once all places repeat, new texts are not counted."""
    times = Times()
    for number in range(1000):
        ran(times, f"SELECT {number}")
    for number in range(300):
        for _ in range(2):
            ran(times, f"DELETE {number}")

    assert "db_repeats" not in times.fields(1.0, 0, 1)
    for _ in range(10):
        ran(times, "DELETE 1")
        ran(times, "DELETE 299")
    fields = times.fields(1.0, 0, 1)
    assert (12, "DELETE ?") == (fields["db_repeats"], fields["db_repeated"])


def test_a_statement_of_ten_megabytes_is_told_apart_by_its_ends() -> None:
    """Neither its text nor a hash of it is kept."""
    times = Times()
    for _ in range(10):
        ran(times, "SELECT '" + "x" * 10_000_000 + "' FROM a")
    ran(times, "SELECT '" + "x" * 10_000_000 + "' FROM b")

    fields = times.fields(1.0, 0, 1)

    assert (10, "SELECT ?") == (fields["db_repeats"], fields["db_repeated"])


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 1, 2.5e3, 0xFF, -7 FROM t1", "SELECT ?, ?, ?, -? FROM t1"),
        ("SELECT 'it''s' || 'x'", "SELECT ? || ?"),
        ("WHERE a = 'C:\\' AND b = 'secret'", "WHERE a = ?"),
        ("WHERE a = 'it\\'s secret'", "WHERE a = ?"),
        ("WHERE a = 'a\\nb' AND b = 1", "WHERE a = ? AND b = ?"),
        ("WHERE a = 'no end", "WHERE a = ?"),
        ('SELECT "t2"."id", `n3`, [x4] FROM "t2"', 'SELECT "t2"."id", `n3`, [x4] FROM "t2"'),
        ("SELECT $$secret$$, $tag$se$cret$tag$, 3", "SELECT ?, ?, ?"),
        ("SELECT $$secret", "SELECT ?"),
        ("SELECT %(id_1)s, :name, $1, ?, %s", "SELECT %(id_1)s, :name, $1, ?, %s"),
        ("SELECT 1 -- secret\n, /* secret */ 2 /* secret", "SELECT ? , ?"),
        ("SELECT E'a', x'0f', N'b', U&'c'", "SELECT E?, x?, N?, U&?"),
        ("SELECT 1::text, a::int4", "SELECT ?::text, a::int4"),
        ('WHERE a = "no end', "WHERE a = ?"),
        ("  SELECT\n\t a  ", "SELECT a"),
        ("SELECT " + "a" * 300, "SELECT " + "a" * 193),
    ],
)
def test_literals_are_replaced(statement: str, shown: str) -> None:
    """Names, placeholders and words stay; strings, numbers and comments do not."""
    assert shown == readable(statement)


def test_double_quotes_are_a_string_in_mysql() -> None:
    """There they quote literals, and names elsewhere."""
    assert "SELECT `a` = ?" == readable('SELECT `a` = "secret"', "mysql")
    assert 'SELECT "a"' == readable('SELECT "a"', "postgresql")


def test_a_task_that_never_started_has_no_own_time() -> None:
    """There is no latency of which it could be a part."""
    assert {} == Times().fields(None, 0, 1)


def test_a_statement_that_is_no_text_does_not_repeat() -> None:
    """Drivers accept objects of their own, whose text may hold values."""
    times = Times()
    for _ in range(10):
        times.add("db", 0, 0, 1, statement_of(b"SELECT 1", "postgresql"))

    assert {"db_calls": 10, "db_ms": 0, "own_ms": 1.0} == times.fields(1.0, 0, 1)
