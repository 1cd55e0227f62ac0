"""Print the completion script of a shell.

It completes the commands, their options and the names of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.cli.main import COMMANDS, build_parser
from pantheon_obs.cli.terminal import write_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pantheon_obs.cli.main import Parser

EXAMPLES = """\
examples:
  source <(pantheon-obs completion bash)
      in ~/.bashrc
  pantheon-obs completion zsh > ~/.zfunc/_pantheon-obs
      with ~/.zfunc in fpath, before compinit
  pantheon-obs completion fish > ~/.config/fish/completions/pantheon-obs.fish
      for fish
"""
SHELLS = ("bash", "zsh", "fish")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    _, parsers = build_parser([command.name for command in COMMANDS])
    write_lines(_SCRIPTS[arguments.shell](parsers))
    return 0


def _bash(parsers: dict[str, Parser]) -> Iterator[str]:
    yield "_pantheon_obs() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"'
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f'        COMPREPLY=($(compgen -W "{" ".join(parsers)} --help --version" -- "$word"))'
    yield "        return"
    yield "    fi"
    yield '    case "${COMP_WORDS[1]} $before" in'
    for name, parser in parsers.items():
        for argument in parser.arguments:
            if argument.choices and argument.option_strings:
                flags = "|".join(f'"{name} {flag}"' for flag in argument.option_strings)
                yield f"        {flags}) {_words(' '.join(argument.choices))}; return ;;"
    yield "    esac"
    yield '    case "${COMP_WORDS[1]} $word" in'
    for name, parser in parsers.items():
        flags = " ".join(flag for argument in parser.arguments for flag in argument.option_strings)
        yield f'        "{name} -"*) {_words(flags)} ;;'
        for argument in parser.arguments:
            if argument.choices and not argument.option_strings:
                yield f'        "{name} "*) {_words(" ".join(argument.choices))} ;;'
    yield '        *) COMPREPLY=($(compgen -f -- "$word")) ;;'
    yield "    esac"
    yield "}"
    yield "complete -o filenames -F _pantheon_obs pantheon-obs"


def _words(words: str) -> str:
    return f'COMPREPLY=($(compgen -W "{words}" -- "$word"))'


def _zsh(parsers: dict[str, Parser]) -> Iterator[str]:
    yield "#compdef pantheon-obs"
    yield "_pantheon_obs() {"
    yield "    if (( CURRENT == 2 )); then"
    yield "        local -a commands=("
    for command in COMMANDS:
        yield f"            {_quoted(f'{command.name}:{command.summary}')}"
    yield "        )"
    yield "        _describe command commands"
    yield "        return"
    yield "    fi"
    yield "    local name=$words[2]"
    yield "    shift words; (( CURRENT-- ))"
    yield "    case $name in"
    for name, parser in parsers.items():
        specs = []
        for argument in parser.arguments:
            values = f"({' '.join(argument.choices)})" if argument.choices else "_files"
            value = "" if argument.nargs == 0 else f":value:{values}"
            text = _zsh_text(argument.help or "")
            specs += [_quoted(f"{flag}[{text}]{value}") for flag in argument.option_strings]
            if not argument.option_strings:
                specs.append(_quoted(f"*:{argument.dest}:{values}"))
        yield f"        {name}) _arguments {' '.join(dict.fromkeys(specs))} ;;"
    yield "    esac"
    yield "}"
    yield 'if [ "$funcstack[1]" = "_pantheon-obs" ]; then _pantheon_obs "$@"; else compdef _pantheon_obs pantheon-obs; fi'  # noqa: E501


def _fish(parsers: dict[str, Parser]) -> Iterator[str]:
    for command in COMMANDS:
        yield f"complete -c pantheon-obs -n __fish_use_subcommand -f -a {command.name} -d {_quoted(command.summary)}"  # noqa: E501
    for name, parser in parsers.items():
        start = f"complete -c pantheon-obs -n {_quoted(f'__fish_seen_subcommand_from {name}')}"
        for argument in parser.arguments:
            values = f" -a {_quoted(' '.join(argument.choices))}" if argument.choices else ""
            needs = "" if argument.nargs == 0 else " -r"
            for flag in argument.option_strings:
                kind = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                yield f"{start} {kind}{needs}{values} -d {_quoted(argument.help or '')}"
            if values and not argument.option_strings:
                yield f"{start} -f{values}"


def _quoted(text: str) -> str:
    """Quote a text for a shell; our own texts have no backslash."""
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_text(text: str) -> str:
    """Replace the characters that have a meaning in a specification of zsh's `_arguments`."""
    return text.replace("[", "(").replace("]", ")").replace(":", " -")


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
