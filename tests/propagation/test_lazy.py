"""`import pantheon_obs.propagation` loads nothing that a name has not asked for."""

from __future__ import annotations

import pytest

from pantheon_obs import propagation
from tests.test_import import modules_after, run_isolated


def test_importing_it_loads_nothing_else() -> None:
    """Not even core, and no client library when all its names are touched."""
    loaded = modules_after("import pantheon_obs.propagation")
    touched = modules_after("from pantheon_obs.propagation import *")

    assert {"pantheon_obs", "pantheon_obs._version", "pantheon_obs.propagation"} == {
        name for name in loaded if name.startswith("pantheon_obs")
    }
    assert set() == touched & {"aiohttp", "celery", "httpx", "httpx2", "opentelemetry", "requests"}


@pytest.mark.parametrize("name", propagation.__all__)
def test_a_public_name_resolves(name: str) -> None:
    """Each gives the same value ever after, with a docstring, and is listed."""
    value = getattr(propagation, name)

    assert value is getattr(propagation, name)
    assert value.__doc__
    assert name in dir(propagation)


def test_a_typo_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match=r"'pantheon_obs\.propagation' has no .* 'injcet'"):
        _ = propagation.injcet  # type: ignore[attr-defined]


def test_propagating_imports_no_other_library() -> None:
    """A host with one client library does not get the others."""
    run_isolated(
        "import httpx2, sys; from pantheon_obs.propagation import propagate;"
        "propagate(httpx2.Client()); assert not {'httpx', 'requests', 'aiohttp'} & {*sys.modules}"
    )
