"""Changes to an object of the application that can be taken back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_ABSENT = object()


class Undoable(ABC):
    """A change that is already made; `undo()` or the end of a `with` block takes it back."""

    @abstractmethod
    def undo(self) -> None:
        """Take the change back; a second call changes nothing."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Undo the change; an error passes."""
        self.undo()


class Patch:
    """An attribute of an object, replaced until `undo()`.

    Args:
        owner: An instance, frozen or not, a class or a module.
        name: The attribute's name.
        value: Its new value.

    Raises:
        ConfigError: The object has no room for it.
    """

    def __init__(self, owner: Any, name: str, value: Any) -> None:  # noqa: ANN401 - any object
        self._owner = owner
        self._name = name
        self._value = value
        self._before = getattr(owner, "__dict__", {}).get(name, _ABSENT)
        self._set(value)
        if self._now() is not value:
            self._set(self._before)
            msg = f"{type(owner).__name__}.{name} cannot be replaced on an instance"
            raise ConfigError(msg)

    def undo(self) -> None:
        """Restore the attribute, unless somebody else has replaced it since."""
        if self._now() is self._value:
            self._set(self._before)

    def _now(self) -> object:
        if isinstance(self._owner, type):
            return vars(self._owner).get(self._name)
        return getattr(self._owner, self._name, None)

    def _set(self, value: object) -> None:
        own = getattr(self._owner, "__dict__", {})
        if isinstance(self._owner, type):
            if value is _ABSENT:
                delattr(self._owner, self._name)
            else:
                setattr(self._owner, self._name, value)
        elif value is _ABSENT:
            own.pop(self._name, None)
        else:
            own[self._name] = value  # past the __setattr__ of frozen classes
