"""Tracebacks that this interpreter prints are read."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from pantheon_obs.cli.stories.tracebacks import Raised, read

if TYPE_CHECKING:
    from collections.abc import Callable


class Declined(Exception):  # noqa: N818 - a name of an application
    """A failure of an application."""


def plain() -> None:
    """Raise an exception with a text of two lines."""
    raise Declined("no money\nleft")  # noqa: EM101, TRY003


def silent() -> None:
    """Raise an exception without a text."""
    raise Declined


def chained() -> None:
    """Raise an exception whose cause says other things."""
    try:
        plain()
    except Declined as error:
        raise KeyError("x") from error  # noqa: EM101


def in_context() -> None:
    """Raise an exception while another one is handled."""
    try:
        plain()
    except Declined:
        silent()


def in_library() -> None:
    """Let the standard library raise."""
    int("x")
    __import__("json").loads("{")


def group() -> None:
    """Raise a group."""
    members: list[Exception] = []
    for function in (plain, chained):
        try:
            function()
        except Exception as error:  # noqa: BLE001 - any
            members.append(error)
    raise ExceptionGroup("several", members)  # noqa: EM101


def local() -> None:
    """Raise an exception of a class that a function has made."""

    class Local(Exception):  # noqa: N818
        pass

    raise Local("x")  # noqa: EM101


def syntax() -> None:
    """Raise an exception whose text has a place in a file."""
    compile("x = (", "/srv/template.py", "exec")


@pytest.mark.parametrize(
    ("function", "kind", "message", "where"),
    [
        (plain, "Declined", "no money\nleft", "plain"),
        (silent, "Declined", "", "silent"),
        (chained, "KeyError", "'x'", "chained"),
        (in_context, "Declined", "", "silent"),
        (in_library, "ValueError", "invalid literal for int() with base 10: 'x'", "in_library"),
        (group, "ExceptionGroup", "several (2 sub-exceptions)", "group"),
        (local, "Local", "x", "local"),
        (syntax, "SyntaxError", "'(' was never closed", "syntax"),
    ],
)
def test_a_traceback_is_read(
    function: Callable[[], None], kind: str, message: str, where: str
) -> None:
    """Class, text and innermost own frame are those of the exception that was raised last."""
    try:
        function()
    except Exception:  # noqa: BLE001 - any
        text = traceback.format_exc()

    raised = read(text)

    assert (kind, message) == (raised.type, raised.message)
    assert raised.frame is not None
    assert (__file__, where) == (raised.frame["file"], raised.frame["function"])


@pytest.mark.parametrize(
    ("text", "raised"),
    [
        pytest.param("ValueError: x", Raised("ValueError", "x", None), id="no frames"),
        pytest.param("Traceback (most recent call last):\nA", Raised("A", "", None), id="bare"),
        pytest.param(
            '[7 bytes cut]y", line 3, in f\n    x()\n  File "<string>", line 7, in g\na.B: c',
            Raised("B", "c", None),
            id="cut at its beginning",
        ),
        pytest.param(
            '  File "a.py", line 1, in f',
            Raised(None, None, {"file": "a.py", "line": 1, "function": "f"}),
            id="cut at its end",
        ),
        pytest.param("?!", Raised(None, "?!", None), id="no traceback"),
        pytest.param("", Raised(None, None, None), id="empty"),
        pytest.param(
            'Traceback (most recent call last):\n  File "C:\\app\\a.py", line 1, in f\n'
            '  File "C:\\x\\site-packages\\b.py", line 2, in g\nA: b',
            Raised("A", "b", {"file": "C:\\app\\a.py", "line": 1, "function": "f"}),
            id="Windows",
        ),
        pytest.param(
            f'  File "a.py", line 1, in f\n  File "b.py", line {"9" * 5000}, in g\nA: b',
            Raised("A", "b", {"file": "a.py", "line": 1, "function": "f"}),
            id="a line number of more digits than Python converts",
        ),
        pytest.param(
            "  + Exception Group Traceback (most recent call last):\n"
            '  |   File "a.py", line 1, in f\n'
            "  | G: several (1 sub-exception)",
            Raised("G", "several (1 sub-exception)", {"file": "a.py", "line": 1, "function": "f"}),
            id="a group whose members were cut",
        ),
    ],
)
def test_what_is_left_of_a_traceback_is_read(text: str, raised: Raised) -> None:
    """A text that is a cut traceback, or no traceback, gives the parts that it has."""
    assert raised == read(text)
