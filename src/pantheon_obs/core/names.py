"""Report unknown names, with the known name that was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PREFIX = "PANTHEON_OBS_"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that is spelt most alike, or else one that contains the name.

    Upper and lower case are alike.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

    names = {other.lower(): other for other in known}
    word = name.lower()
    alike = get_close_matches(word, names, n=1) or [other for other in names if word in other]
    return names[alike[0]] if alike else None


def unknown_argument(name: str, known: tuple[str, ...]) -> str:
    """Return the text of the error for an argument that is no option."""
    meant = nearest(name, known)
    if meant is None:
        return f"{name!r} is not a setting: the settings are {', '.join(known)}"
    return f"{name!r} is not a setting: did you mean {meant!r}?"


def unknown_variables(
    environ: Mapping[str, str], options: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """Describe each variable that has our prefix and sets no option; a blank one is not set.

    `options` are the names of the options, with the variables of each.
    """
    known = {variable for variables in options.values() for variable in variables}
    for name in environ:
        if name.upper().startswith(_PREFIX) and name not in known and environ[name].strip():
            yield f"{name} is not a setting{_meant_instead(name, options)}"


def _meant_instead(name: str, options: Mapping[str, tuple[str, ...]]) -> str:
    # The prefix is left out: it would make every name look alike.
    option_of = {
        word.removeprefix(_PREFIX): option
        for option, variables in options.items()
        for word in (option.upper(), *variables)
    }
    word = nearest(name.upper().removeprefix(_PREFIX), option_of)
    if word is None:
        return ""
    option = option_of[word]
    variables = options[option]
    if not variables:
        return f": {option} is set by an argument only"
    by_word = (variable for variable in variables if variable.removeprefix(_PREFIX) == word)
    return f": did you mean {next(by_word, variables[0])}?"
