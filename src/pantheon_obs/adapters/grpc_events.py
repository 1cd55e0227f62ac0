"""The fact that an RPC has ended: the event of a request, with a gRPC code for its status."""

from __future__ import annotations

from logging import ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, ClassVar

from pantheon_obs.core.events import RequestFinished

if TYPE_CHECKING:
    from typing import Final

# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/: the codes that make a server span an error
_SERVER_FAULTS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)


class RpcFinished(RequestFinished):
    """One RPC has ended.

    Attributes:
        grpc_code: The name of its status code, as `NOT_FOUND`.
        level: ERROR for a server's fault and an escaped exception, INFO for OK, else WARNING.
    """

    __slots__ = ("grpc_code",)

    uncaptured: ClassVar[str] = "grpc"  # error trackers get it from few kinds of handlers

    def __init__(self, *values: Any, grpc_code: str = "OK", **more: Any) -> None:
        super().__init__(*values, **more)
        self.grpc_code = grpc_code
        if self.quiet:
            return
        if grpc_code in _SERVER_FAULTS or self.outcome in ("error", "no_response"):
            self.level = ERROR
        else:
            self.level = INFO if grpc_code == "OK" else WARNING

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, in the order of the schema, added to those of a line."""
        fields: dict[str, Any] = {} if line is None else line
        for name, value in RequestFinished.fields(self).items():
            if name == "latency_ms":
                fields["grpc_code"] = self.grpc_code
            if name != "failed":
                fields[name] = value
            if name == "outcome" and self.level == ERROR:
                fields["failed"] = True
        return fields
