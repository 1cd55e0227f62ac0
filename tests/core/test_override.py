"""A method of one object can be overridden, and the object is freed with its last reference."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING
from weakref import ref

import pytest

from pantheon_obs.core.override import override, own_method

if TYPE_CHECKING:
    from collections.abc import Iterator


class Service:
    """A service with a method."""

    def serve(self, name: str) -> str:
        """Greet."""
        return f"hello {name}"


def loud(service: Service) -> Service:
    """Override the method by one that uses the earlier one."""
    earlier = own_method(service, "serve")
    override(service, "serve", lambda _, name: earlier(name).upper())
    return service


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Turn off the garbage collector."""
    gc.disable()
    yield
    gc.enable()


def test_only_the_object_has_the_new_method() -> None:
    """Its class looks as before, and other objects of it are untouched."""
    service = loud(Service())

    assert ("HELLO YOU", "hello you") == (service.serve("you"), Service().serve("you"))
    assert isinstance(service, Service)
    assert ("Service", Service.__module__, Service.__doc__) == (
        type(service).__name__,
        type(service).__module__,
        type(service).__doc__,
    )


def test_a_method_that_was_replaced_by_an_attribute_is_the_earlier_one() -> None:
    """An object that somebody has put in the method's place is called by the new one."""
    service = Service()
    service.serve = str.title  # type: ignore[assignment, method-assign]

    assert "YOU" == loud(service).serve("you")


def test_the_object_is_freed_with_its_last_reference(uncollected: None) -> None:
    """The bound method keeps the object alive, and nothing else does."""
    service = loud(Service())
    known = ref(service)
    serve = service.serve

    del service
    assert "HELLO YOU" == serve("you")
    del serve
    assert known() is None
