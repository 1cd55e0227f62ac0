"""A copied or pickled client propagates as the one that it was made from."""

from __future__ import annotations

import copy
import io
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import BaseAdapter

from pantheon_obs import trace_context
from pantheon_obs.propagation import propagate

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "http://stock.internal/"


class Answers(BaseAdapter):
    """Answers without a network."""

    def send(self, request: Any, **_: Any) -> requests.Response:  # type: ignore[override]
        """Answer with the request."""
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response.raw = io.BytesIO(b"")
        return response

    def close(self) -> None:
        """Have nothing to close."""


class WholeState(requests.Session):
    """Keeps all attributes when it is copied."""

    def __getstate__(self) -> dict[str, Any]:
        """Return all of them."""
        return dict(self.__dict__)


class Named(requests.Session):
    """Pickles as a global object."""

    def __reduce__(self) -> str:
        """Name it."""
        return "NAMED"


NAMED = Named()


class WithoutState(requests.Session):
    """Pickles without any state."""

    def __reduce__(self) -> tuple[Callable[[], requests.Session], tuple[()]]:
        """Make it anew."""
        return _made, ()


def _made() -> requests.Session:
    session = WithoutState()
    session.mount("http://", Answers())
    return session


def sent(session: requests.Session, host: str = HOST) -> list[str | None]:
    """Send two requests in two traces; return the ids that went out."""
    ids = []
    for trace_id in ("order-7", "order-8"):
        with trace_context(trace_id):
            ids.append(session.get(host).request.headers.get("X-Trace-ID"))
    return ids


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda session: pickle.loads(pickle.dumps(session)),  # noqa: S301 - our own
    "old pickle": lambda session: pickle.loads(pickle.dumps(session, protocol=2)),  # noqa: S301 - as above
    "copy of a copy": lambda session: copy.deepcopy(copy.deepcopy(session)),
}


@pytest.mark.parametrize("kind", [requests.Session, WholeState, WithoutState])
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_propagates_to_the_same_hosts(kind: type[requests.Session], way: str) -> None:
    """It is of the same class, with its own headers; undoing the first leaves it as it is."""
    session = kind()
    session.mount("http://", Answers())
    with propagate(session, hosts=["stock.internal"]):
        made = COPIES[way](session)
    made.headers["X-Own"] = "1"

    assert kind is type(made)
    assert "X-Own" not in session.headers
    assert ["order-7", "order-8"] == sent(made)
    assert [None, None] == sent(made, "http://other.example/")
    assert [None, None] == sent(session)


def test_a_copy_after_undo_sends_no_id() -> None:
    """Nothing is left of the change."""
    session = requests.Session()
    session.mount("http://", Answers())
    propagate(session).undo()

    assert [None, None] == sent(copy.deepcopy(session))
    assert "__reduce_ex__" not in vars(session)


def test_a_session_that_is_pickled_by_its_name_stays_so() -> None:
    """It is the same object afterwards."""
    with propagate(NAMED):
        assert pickle.loads(pickle.dumps(NAMED)) is NAMED  # noqa: S301 - as above
