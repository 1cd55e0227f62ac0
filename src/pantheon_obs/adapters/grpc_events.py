"""The fact that an RPC has ended: the event of a request, with a gRPC code for its status."""

from __future__ import annotations

from logging import DEBUG, ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, ClassVar

from pantheon_obs.core.events import RequestFinished
from pantheon_obs.core.outcome import FAILED

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
    """

    uncaptured: ClassVar[str] = "grpc"  # error trackers get it from few kinds of handlers

    grpc_code: str = "OK"

    @property
    def level(self) -> int:
        """ERROR for a server's fault and an escaped exception, INFO for OK, else WARNING."""
        if self.quiet:
            return DEBUG
        if self.grpc_code in _SERVER_FAULTS or self.outcome in FAILED:
            return ERROR
        return INFO if self.grpc_code == "OK" else WARNING

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, in the order of the schema, added to the fields of a line."""
        fields: dict[str, Any] = {} if line is None else line
        for name, value in super().fields().items():
            if name == "latency_ms":
                fields["grpc_code"] = self.grpc_code
            fields[name] = value
        return fields
