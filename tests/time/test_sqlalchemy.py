"""SQLAlchemy's engines: how many statements a request ran, how long they took, which repeat."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import carry, instrument
from tests.time.requests import aask, adds_up, ask, times

sqlalchemy = pytest.importorskip("sqlalchemy")
from sqlalchemy import event, text  # noqa: E402 - after the import that may skip
from sqlalchemy import exc as errors  # noqa: E402 - as above
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402 - as above
from sqlalchemy.orm import (  # noqa: E402 - as above
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from examples.databases import Postgres


class Base(DeclarativeBase):
    """The tables of the tests."""


class Author(Base):
    """Has books."""

    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship()


class Book(Base):
    """Is loaded with its author, or when it is asked for."""

    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sqlalchemy.ForeignKey("authors.id"))


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A database in memory with 50 authors, made before the library is set up."""
    engine = sqlalchemy.create_engine(
        "sqlite://",
        poolclass=sqlalchemy.StaticPool,
        connect_args={"check_same_thread": False},
    )
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Author(name=f"secret {n}", books=[Book(), Book()]) for n in range(50))
        session.commit()
    yield engine
    engine.dispose()


def query(engine: Engine, statement: str = "SELECT 1", number: int = 1) -> None:
    """Run a statement a number of times."""
    with engine.connect() as connection:
        for _ in range(number):
            connection.execute(text(statement)).all()


def page(engine: Engine) -> None:
    """Load fifty authors, and the books of each when they are looked at."""
    with Session(engine) as session:
        for author in session.scalars(sqlalchemy.select(Author)):
            assert 2 == len(author.books)


def test_statements_are_counted_and_timed(engine: Engine) -> None:
    """An engine made before the set-up, and one made after it."""

    def work() -> None:
        query(engine, number=2)
        later = sqlalchemy.create_engine("sqlite://")
        query(later)
        query(later.execution_options(isolation_level="AUTOCOMMIT"))
        later.dispose()

    line = ask(work)

    assert {"db_calls": 4} == times(line)
    assert 0 < line["db_ms"] < line["latency_ms"]
    assert adds_up(line)


def test_a_request_without_statements_has_no_field_of_it(engine: Engine) -> None:
    """Statements before the request count for none."""
    query(engine)
    assert not {"db_calls", "own_ms"} & ask(lambda: None).keys()


def test_a_page_that_loads_row_by_row_shows_the_statement(engine: Engine) -> None:
    """The hint has the statement that ran fifty times, without a value."""
    line = ask(lambda: page(engine))

    assert (51, 50) == (line["db_calls"], line["db_repeats"])
    shown = line["db_repeated"]
    assert "FROM books" in shown
    assert "secret" not in shown
    assert 200 >= len(shown)


def test_ordinary_pages_have_no_hint(engine: Engine) -> None:
    """Twenty pages, each with a handful of different statements, and some of them twice."""

    def work() -> None:
        for number in range(5):
            query(engine, f"SELECT {number}")
            query(engine, "SELECT name FROM authors LIMIT 10")

    for _ in range(20):
        assert "db_repeats" not in ask(work)


def test_values_in_a_statement_are_not_shown(engine: Engine) -> None:
    """Literals in the text become question marks."""
    line = ask(lambda: query(engine, "SELECT 'secret', 42", 10))
    assert (10, "SELECT ?, ?") == (line["db_repeats"], line["db_repeated"])


def test_statements_of_threads_count_for_their_request(engine: Engine) -> None:
    """`carry` and `to_thread` bring the request along; a bare thread does not."""

    def threads() -> None:
        for target in (carry(query), query):
            thread = Thread(target=target, args=(engine,))
            thread.start()
            thread.join()

    async def work() -> None:
        await asyncio.to_thread(query, engine)
        threads()

    assert {"db_calls": 2} == times(ask(work))


def test_a_failed_statement_counts_and_its_error_is_the_databases(engine: Engine) -> None:
    """The error is what it would be without the library, after listeners of the application."""
    heard = []
    event.listen(engine, "handle_error", heard.append)

    def work() -> None:
        with pytest.raises(errors.OperationalError, match="no such table"):
            query(engine, "SELECT * FROM nowhere")

    assert {"db_calls": 1} == times(ask(work))
    assert 1 == len(heard)


@pytest.mark.parametrize(
    ("name", "statements"), [("before_cursor_execute", 1), ("after_cursor_execute", 2)]
)
def test_a_listener_of_the_application_may_raise(
    engine: Engine, name: str, statements: int
) -> None:
    """The application gets its own exception; a statement that was not sent does not count."""

    @contextmanager
    def listening() -> Iterator[None]:
        event.listen(engine, name, fail)
        yield
        event.remove(engine, name, fail)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    def work() -> None:
        with listening(), pytest.raises(ZeroDivisionError):
            query(engine)
        query(engine)

    line = ask(work)

    assert {"db_calls": statements} == times(line)
    assert adds_up(line)


def test_a_listener_may_replace_the_error(engine: Engine) -> None:
    """The application's `handle_error` decides which error is raised, as without the library."""

    def replace(_context: Any) -> None:
        raise ZeroDivisionError

    event.listen(engine, "handle_error", replace)

    def work() -> None:
        with pytest.raises(ZeroDivisionError):
            query(engine, "SELECT * FROM nowhere")

    assert {"db_calls": 1} == times(ask(work))


def test_defaults_and_batches_of_rows_are_statements(engine: Engine) -> None:
    """A bulk insert is one statement for each batch that goes to the database."""

    def work() -> None:
        with engine.begin() as connection:
            rows = [{"name": f"n{number}"} for number in range(30)]
            connection.execute(sqlalchemy.insert(Author), rows)
            connection.exec_driver_sql("SELECT 1")

    assert {"db_calls": 2} == times(ask(work))


def test_a_dialect_of_the_applications_own_counts_once(tmp_path: Path) -> None:
    """One that is loaded later, and whose methods call those of its base."""
    from sqlalchemy.dialects import registry  # noqa: PLC0415 - only here
    from sqlalchemy.dialects.sqlite import pysqlite  # noqa: PLC0415 - as above

    class Dialect(pysqlite.SQLiteDialect_pysqlite):
        supports_statement_cache = True

        def do_execute(self, *args: Any, **options: Any) -> None:
            super().do_execute(*args, **options)

    registry.register("sqlite.own", __name__, "OWN")
    globals()["OWN"] = Dialect

    def work() -> None:
        engine = sqlalchemy.create_engine(f"sqlite+own:///{tmp_path}/db")
        query(engine, number=3)
        engine.dispose()

    assert {"db_calls": 3} == times(ask(work))


def test_a_statement_of_a_megabyte_is_an_ordinary_one(engine: Engine) -> None:
    """Its text is neither kept nor shown."""
    statement = f"SELECT '{'x' * 1_000_000}'"
    line = ask(lambda: query(engine, statement, 10))
    assert (10, "SELECT ?") == (line["db_repeats"], line["db_repeated"])


def test_the_setting_turns_it_off(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured, and no listener is added."""
    monkeypatch.setenv("PANTHEON_OBS_MEASURE_TIME", "false")
    assert not {"db_calls", "own_ms"} & ask(lambda: query(engine)).keys()


def on_postgres(url: str, work: Callable[[Any], Any]) -> dict[str, Any]:
    """Do some work with an async engine in a request."""

    async def main() -> dict[str, Any]:
        engine = create_async_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        try:
            return await aask(lambda: work(engine))
        finally:
            await engine.dispose()

    return asyncio.run(main())


def test_gathered_statements_overlap_in_the_own_time_but_add_up(postgres: Postgres) -> None:
    """Twenty statements of 0.2 s at once take two batches of the pool's connections at most."""

    async def sleep(engine: Any) -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(0.2)"))

    async def work(engine: Any) -> None:
        await asyncio.gather(*(sleep(engine) for _ in range(20)))

    line = on_postgres(postgres.url, work)

    assert 20 == line["db_calls"]  # not what the dialect asks the server when it first connects
    assert 20 * 200 <= line["db_ms"]
    assert line["latency_ms"] < line["db_ms"]
    assert 200 <= line["latency_ms"] - line["own_ms"]


def test_a_cancelled_statement_counts_until_it_was_cancelled(postgres: Postgres) -> None:
    """The time-out of the application ends it, and nothing is left running."""

    async def work(engine: Any) -> None:
        async with engine.connect() as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await connection.execute(text("SELECT pg_sleep(60)"))

    line = on_postgres(postgres.url, work)

    assert 1 == line["db_calls"]
    assert 100 <= line["db_ms"] <= line["latency_ms"]
    assert adds_up(line)


def test_the_sinks_get_each_statement() -> None:
    """A sink with a method `timed` gets the system, the seconds and the error."""
    from pantheon_obs.core import pipeline  # noqa: PLC0415 - only here

    class Sink:
        name = "test"

        def __init__(self) -> None:
            self.operations: list[Any] = []

        def handle(self, _event: Any) -> None:
            """Want no event."""

        def timed(self, operation: Any) -> None:
            self.operations.append(operation)

    engine = sqlalchemy.create_engine("sqlite://")

    def work() -> None:
        query(engine)
        with pytest.raises(errors.OperationalError):
            query(engine, "SELECT * FROM nowhere")

    sink = Sink()
    pipeline.add_sink(sink)
    instrument(lambda scope, receive, send: None)
    ask(work)
    query(engine)
    engine.dispose()

    assert [("db", "sqlite", None), ("db", "sqlite", "OperationalError")] == [
        (one.name, one.system, one.error_type) for one in sink.operations
    ]
    assert all(one.seconds > 0 for one in sink.operations)
