"""`Patch`: an attribute that is replaced and restored."""

from __future__ import annotations

from typing import Any

import pytest

from pantheon_obs import ConfigError
from pantheon_obs.core.undoable import Patch


class Plain:
    """A class with a method."""

    def method(self) -> str:
        """Return a text."""
        return "own"


class Slots:
    """A class whose instances have no room for another attribute."""

    __slots__ = ()

    def method(self) -> str:
        """Return a text."""
        return "own"


def replacement(*_: object) -> str:
    """Return another text."""
    return "replaced"


@pytest.mark.parametrize("make", [Plain, lambda: type("Sub", (Plain,), {})])
def test_an_inherited_attribute_is_replaced_and_restored(make: Any) -> None:
    """The instance or class has no attribute of its own afterwards."""
    owner = make()

    patch = Patch(owner, "method", replacement)
    during = vars(owner)["method"]
    patch.undo()
    patch.undo()

    assert replacement is during
    assert "method" not in vars(owner)


@pytest.mark.parametrize("make", [Plain, lambda: type("Sub", (Plain,), {})])
def test_an_own_attribute_is_restored(make: Any) -> None:
    """The instance or class has its own attribute again."""
    owner = make()
    own = owner.method
    owner.method = own

    Patch(owner, "method", replacement).undo()

    assert own is vars(owner)["method"]


def test_an_attribute_that_others_have_replaced_is_kept() -> None:
    """`undo` takes back only its own change."""
    owner = Plain()
    patch = Patch(owner, "method", replacement)
    owner.method = len  # type: ignore[assignment]

    patch.undo()

    assert len is vars(owner)["method"]


def test_an_instance_without_room_is_refused() -> None:
    """The error names the class and the attribute."""
    with pytest.raises(ConfigError, match=r"Slots\.method cannot be replaced on an instance"):
        Patch(Slots(), "method", replacement)
