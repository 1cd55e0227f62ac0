"""The lines that this process has logged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lines import parse_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Take pytest's handlers off the root logger for a test of what is printed.

    They fail where ours must not, and where they are, lines go the way of records.
    """
    if "logged" not in getattr(item, "fixturenames", ()):
        return (yield)
    root = logging.getLogger()
    handlers = list(root.handlers)
    root.handlers.clear()
    try:
        return (yield)
    finally:
        root.handlers[:] = handlers


@pytest.fixture
def logged(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[[], list[dict[str, Any]]]:
    """Read the lines printed since the last call; nothing stands on standard error."""

    def read() -> list[dict[str, Any]]:
        captured = capsysbinary.readouterr()
        assert b"" == captured.err
        return parse_lines(captured.out)

    return read
