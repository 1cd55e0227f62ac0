"""On the console the frames of installed code take one line each; the application's stay whole."""

from __future__ import annotations

import json
import logging
from traceback import format_exception
from typing import TYPE_CHECKING

from pantheon_obs import configure_logging
from pantheon_obs.sinks.logs.console import folded

if TYPE_CHECKING:
    import pytest


def text_of(error: BaseException) -> str:
    """Format an exception as Python does."""
    return "".join(format_exception(error)).rstrip("\n")


def fail_in_a_library() -> None:
    """Fail below two frames of the standard library."""
    json.loads("{")


def raised() -> Exception:
    """Return the exception with its traceback."""
    try:
        fail_in_a_library()
    except ValueError as error:
        return error
    raise AssertionError


def test_frames_of_installed_code_lose_their_source() -> None:
    """The place in the package remains, and so does everything of the application's frames."""
    lines = folded(text_of(raised())).splitlines()

    own = [number for number, line in enumerate(lines) if __file__ in line]
    assert ["    fail_in_a_library()", '    json.loads("{")'] == [lines[at + 1] for at in own]
    library = [line for line in lines if line.startswith("  json/")]
    assert ["loads", "decode", "raw_decode"] == [line.rpartition(" in ")[2] for line in library]
    assert [*library[1:], text_of(raised()).splitlines()[-1]] == lines[-3:]


def test_causes_and_groups_are_folded_in_their_margin() -> None:
    """Each traceback of a chain and of a group is folded, and the bars stay."""
    group = ExceptionGroup("two", [raised(), raised()])
    group.__cause__ = raised()

    shown = folded(text_of(group))

    assert 3 == shown.count("json/decoder.py:") // 2
    assert 2 == shown.count("\n    |   json/decoder.py:") // 2
    assert "self.raw_decode(s" not in shown
    assert 3 == shown.count('json.loads("{")')
    assert "The above exception was the direct cause" in shown
    assert "ExceptionGroup: two (2 sub-exceptions)" in shown


def test_a_traceback_without_the_application_is_not_folded() -> None:
    """Where nothing is the application's, an application was perhaps installed as a package."""
    try:
        json.loads("{")
    except ValueError as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        whole = text_of(error)

    assert whole == folded(whole)
    assert "no traceback" == folded("no traceback")


def test_frames_of_the_interpreter_are_folded() -> None:
    """The import machinery has no file."""
    shown = folded(
        'Traceback (most recent call last):\n  File "/srv/app.py", line 1, in <module>\n'
        '    import other\n  File "<frozen importlib._bootstrap>", line 9, in _find\nKeyError: 1'
    )

    assert "  <frozen importlib._bootstrap>:9 in _find\nKeyError: 1" in shown


def test_the_console_folds_and_other_formats_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    """A machine gets the traceback as Python writes it."""
    for log_format in ("console", "text"):
        configure_logging(log_format=log_format)
        logging.getLogger("shop").error("failed", exc_info=raised())

    console, _, text = capsys.readouterr().out.partition(" ERROR ")
    assert "\n      json/decoder.py:" in console
    assert "self.raw_decode(s" not in console
    assert "self.raw_decode(s" in text
