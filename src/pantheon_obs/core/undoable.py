"""What a call has changed in an object of the host's, and how it is taken back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Undoable(ABC):
    """A change that is there already; `undo()` takes it back, as does the end of a `with`."""

    @abstractmethod
    def undo(self) -> None:
        """Take it back; a second time changes nothing."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Undo it; an error passes."""
        self.undo()
