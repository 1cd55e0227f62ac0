"""Run the filters of the handlers that ours has replaced: they mask, and add fields, as before."""

from __future__ import annotations

from logging import Filterer
from typing import TYPE_CHECKING, Any

from pantheon_obs.products import PRODUCTS

if TYPE_CHECKING:
    from logging import Handler, Logger, LogRecord

_FRAMEWORKS = {product.name for product in PRODUCTS}


class AdoptedFilters:
    """A filter that runs the filters of handlers which were removed."""

    def __init__(self) -> None:
        self._of_root: list[Filterer] = []
        self._below: list[tuple[str, Filterer]] = []

    def add(self, logger: Logger, handler: Handler) -> bool:
        """Adopt the filters of a handler that a logger had; return whether any have to run."""
        adopted = Filterer()
        adopted.filters = list(handler.filters)
        if logger.parent is None:
            self._of_root.append(adopted)
        # Each line takes longer where filters run, and those of frameworks only give a verdict.
        elif any(
            type(each).__module__.partition(".")[0] not in _FRAMEWORKS for each in adopted.filters
        ):
            self._below.append((f"{logger.name}.", adopted))
        return bool(self._below) or any(each.filters for each in self._of_root)

    def clear(self) -> None:
        """Forget all: the application has configured its handlers anew."""
        self._of_root.clear()
        self._below.clear()

    def filter(self, record: LogRecord) -> Any:  # noqa: ANN401 - as the filters answer
        """Run the filters on a record.

        It is written if any of the root logger's handlers would have written it. The verdict of
        other handlers does not count, as each was one of several that might write it.
        """
        for name, adopted in self._below:
            if f"{record.name}.".startswith(name):
                adopted.filter(record)
        verdicts = [adopted.filter(record) for adopted in self._of_root]
        return next((verdict for verdict in verdicts if verdict), not verdicts)
