"""The stack can be asked which objects' methods are running."""

from __future__ import annotations

from pantheon_obs.core.stack import is_below


class Runner:
    """Calls what it is given."""

    def run(self) -> dict[str, bool]:
        """Ask for the class, for two objects, and for names that do not exist."""
        paths = ("Runner", "one", "another", "nothing")
        return {path: is_below(f"{__name__}.{path}") for path in paths}


one, another = Runner(), Runner()


def test_a_class_and_an_object_are_found_by_the_methods_that_run() -> None:
    """An instance counts for its class, and an object for itself alone."""
    assert {"Runner": True, "one": True, "another": False, "nothing": False} == one.run()


def test_nothing_is_found_outside_of_a_method() -> None:
    """Neither the class nor a module that is not imported is running."""
    assert not is_below(f"{__name__}.Runner")
    assert not is_below("a_module_that_nobody_has.Runner")


def test_a_self_that_is_not_set_yet_is_passed_over() -> None:
    """A function may name a variable so, and call before it sets it."""

    def ask() -> list[bool]:
        found = is_below(f"{__name__}.Runner")
        self = [found]
        return [*self]

    assert [False] == ask()
