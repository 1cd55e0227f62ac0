"""Lines within their limit: a cut value says so, and the other values are complete."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import configure_logging, get_logger, trace_context
from tests.support.lines import parse_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    Logged = Callable[[], list[dict[str, Any]]]

LIMIT = 10_000


@pytest.mark.parametrize("character", ["x", "\x00", "é", "\U0001f389", '"', "\n"])
def test_a_value_of_ten_megabytes_is_cut_and_says_how_much_is_gone(
    capsysbinary: pytest.CaptureFixture[bytes], character: str
) -> None:
    """The line keeps to its limit and loses nothing else, for every type of value."""
    configure_logging(log_format="json", max_line_bytes=LIMIT)
    value = character * (10_000_000 // len(character.encode()))

    with trace_context("t-1"):
        get_logger("a").info("e", before=1, value=value, after=2)

    output = capsysbinary.readouterr().out
    [line] = parse_lines(output)
    kept, _, marker = line["value"].rpartition("[")
    assert len(output) <= LIMIT
    assert (1, 2, "t-1") == (line["before"], line["after"], line["trace_id"])
    assert set(kept) == {character}
    assert f"{10_000_000 - len(kept.encode())} bytes cut]" == marker
    # The value is cut no more than necessary.
    assert len(output) > LIMIT * 0.8


def test_the_default_limit_is_a_mebibyte(logged: Logged) -> None:
    """The limit is a mebibyte unless it is set."""
    configure_logging(log_format="json")

    get_logger("a").info("short", value="x" * 1_000_000)
    get_logger("a").info("long", value="x" * 1_100_000)

    short, long = logged()
    assert 1_000_000 == len(short["value"])
    assert long["value"].endswith(" bytes cut]")


def test_a_traceback_keeps_its_end(logged: Logged) -> None:
    """A traceback is cut at its start, because its end is more useful."""
    configure_logging(log_format="json", max_line_bytes=LIMIT)

    get_logger("a").info("e", exc_info=ValueError("x" * 50_000 + " the end"))

    [line] = logged()
    assert line["exception"].startswith("[4")
    assert "bytes cut]xxx" in line["exception"]
    assert line["exception"].endswith("x the end")


def test_the_message_itself_is_cut_where_it_is_too_long(logged: Logged) -> None:
    """An event is cut like any other value."""
    configure_logging(log_format="json", max_line_bytes=LIMIT)

    logging.getLogger("a").info("x" * 50_000)

    [line] = logged()
    assert line["event"].startswith("xxx")
    assert line["event"].endswith(" bytes cut]")


def test_the_longest_of_several_is_cut_first(logged: Logged) -> None:
    """Short values stay complete; structures are cut as JSON text."""
    configure_logging(log_format="json", max_line_bytes=LIMIT)

    get_logger("a").info("e", short="s" * 100, list=[1] * 20_000, text="t" * 9_000)

    [line] = logged()
    assert "s" * 100 == line["short"]
    assert line["list"].startswith("[1,1,1,")
    assert line["list"].endswith(" bytes cut]")


def test_very_many_fields_become_a_line_that_says_so(logged: Logged) -> None:
    """If no value is long, the line has the event and the number of its fields."""
    configure_logging(log_format="json", max_line_bytes=LIMIT)

    with trace_context("t-1"):
        get_logger("a").info("e" * 300, **{f"field_{number}": number for number in range(5_000)})

    [line] = logged()
    assert ("line_cut", "e" * 200, 5_000, "t-1") == (
        line["event"],
        line["event_cut"],
        line["fields_cut"],
        line["trace_id"],
    )


def test_numbers_beyond_json_are_cut_like_text(logged: Logged) -> None:
    """A number may be long too, and is cut like text."""
    configure_logging(log_format="json", max_line_bytes=2_000)

    get_logger("a").info("e", number=10**4_000, text="t" * 900)

    [line] = logged()
    assert line["number"].startswith("1000")
    assert line["number"].endswith(" bytes cut]")


def test_the_text_format_has_the_same_limit(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The limit in bytes applies to the text format too."""
    configure_logging(log_format="text", max_line_bytes=LIMIT)

    get_logger("a").info("e", value="\x00" * 50_000, exc_info=ValueError("y\n" * 20_000))

    output = capsysbinary.readouterr().out
    assert LIMIT * 0.8 < len(output) <= LIMIT
    assert b"bytes cut]" in output


@pytest.mark.parametrize("limit", [1024, 1500, 4096])
def test_a_small_limit_holds_too(capsysbinary: pytest.CaptureFixture[bytes], limit: int) -> None:
    """The smallest limit that is accepted leaves room for head and markers."""
    configure_logging(log_format="json", max_line_bytes=limit)

    get_logger("a").info(
        "x" * 5_000, a="y" * 5_000, b=["z" * 5_000], exc_info=ValueError("w" * 5_000)
    )

    output = capsysbinary.readouterr().out
    [line] = parse_lines(output)
    assert len(output) <= limit
    assert "ValueError" == line["error_type"]
