"""`kubectl_complete-afterbell`: what kubectl asks, from 1.26 on, when Tab is pressed behind `kubectl afterbell`.

The answer is that of every program made with cobra: one completion a line, a tab, what it means; then `:` and a number,
4 of which means that no file names are to be offered.
"""

import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final

import typer

from afterbell.cli.kubectl import inner
from afterbell.core.trylog import visible

NO_FILES: Final = ":4"
# Told to kubectl, not to the command; each is followed by a value.
OF_KUBECTL: Final = {
    "--namespace": "the namespace Afterbell is installed in",
    "--context": "a context of the kubeconfig",
    "--kubeconfig": "the kubeconfig",
    "--service": "which of several installations",
    "--role": "viewer or operator",
}
_TAKE_A_VALUE: Final = {*OF_KUBECTL, "-n"}


def main() -> None:
    """Print the completions of the last word."""
    for line in (*completions(sys.argv[1:]), NO_FILES):
        sys.stdout.write(f"{line}\n")


def completions(words: Sequence[str]) -> list[str]:
    """What the last of ``words`` may become; the words before it are those of the command."""
    *before, unfinished = words or [""]
    command, option = _where(typer.main.get_command(inner), before)
    if option is not None:
        found = dict.fromkeys(_choices(option), "")
    elif unfinished.startswith("-"):
        found = dict(_options(command)) | OF_KUBECTL
    else:
        found = {name: child.get_short_help_str() for name, child in getattr(command, "commands", {}).items()}
    return [f"{name}\t{visible(told)}" if told else name for name, told in found.items() if name.startswith(unfinished)]


def _where(command: Any, words: Sequence[str]) -> tuple[Any, Any]:
    """The command these words lead to, and the option that waits for its value, if one does."""
    waiting: Any = None
    for word in words:
        if waiting is not None:
            waiting = None
        elif word.startswith("-"):
            waiting = _option(command, word)
        else:
            command = getattr(command, "commands", {}).get(word, command)
    return command, waiting


def _option(command: Any, word: str) -> Any:
    if word in _TAKE_A_VALUE:
        return word
    found = (one for one in command.params if word in one.opts)
    return next((one for one in found if not getattr(one, "is_flag", False)), None)


def _choices(option: Any) -> Sequence[str]:
    if option == "--role":
        return ("viewer", "operator")
    values = getattr(getattr(option, "type_descriptor", None), "annotation", None)
    return [str(one.value) for one in values] if isinstance(values, type) and issubclass(values, Enum) else ()


def _options(command: Any) -> Iterator[tuple[str, str]]:
    for one in command.params:
        yield from ((name, one.help or "") for name in one.opts if name.startswith("--") and name != "--url")
