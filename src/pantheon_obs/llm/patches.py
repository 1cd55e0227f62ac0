"""One attribute of an object of the host's, replaced until it is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.errors import ConfigError

if TYPE_CHECKING:
    from pantheon_obs.llm.parts import HostValue

_ABSENT = object()


class Patch:
    """A replaced attribute."""

    def __init__(self, owner: HostValue, name: str, value: HostValue) -> None:
        """Replace it.

        Args:
            owner: The object: an instance, frozen or not, a class or a module.
            name: The attribute's name.
            value: Its new value.

        Raises:
            ConfigError: The object has no room for it.
        """
        self._owner = owner
        self._name = name
        self._value = value
        self._before = getattr(owner, "__dict__", {}).get(name, _ABSENT)
        self._set(value)
        if self._now() is not value:
            self._set(self._before)
            kind = type(owner).__name__
            msg = f"{kind}.{name} cannot be replaced on an instance: decorate it with llm_call"
            raise ConfigError(msg)

    def undo(self) -> None:
        """Put back what was there, unless somebody else has replaced it since."""
        if self._now() is self._value:
            self._set(self._before)

    def _now(self) -> HostValue:
        if isinstance(self._owner, type):
            return vars(self._owner).get(self._name)
        return getattr(self._owner, self._name, None)

    def _set(self, value: HostValue) -> None:
        own = getattr(self._owner, "__dict__", {})
        if isinstance(self._owner, type):
            if value is _ABSENT:
                delattr(self._owner, self._name)
            else:
                setattr(self._owner, self._name, value)
        elif value is _ABSENT:
            own.pop(self._name, None)
        else:
            own[self._name] = value  # past the __setattr__ of frozen and pydantic objects
