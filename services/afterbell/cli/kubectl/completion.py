"""`kubectl_complete-afterbell`: kubectl 1.26 and newer runs it when Tab is pressed after `kubectl afterbell`.

It answers as every program made with cobra does: one completion per line with a tab and its description, then `:` and a
number, where 4 means that no file names should be offered.
"""

import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final

import typer

from afterbell.cli.kubectl.plugin import inner
from afterbell.core.report.attempt_log import visible

NO_FILES: Final = ":4"
# These go to kubectl, not to the command; each is followed by a value.
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
    """Completions of the last of ``words``; the words before it belong to the command."""
    *before, unfinished = words or [""]
    command, option = _where(typer.main.get_command(inner), before)
    if option is not None:
        candidates = dict.fromkeys(_choices(option), "")
    elif unfinished.startswith("-"):
        candidates = dict(_options(command)) | OF_KUBECTL
    else:
        candidates = {
            name: child.get_short_help_str()
            for name, child in getattr(command, "commands", {}).items()
            if not child.hidden
        }
    return [
        f"{name}\t{visible(description)}" if description else name
        for name, description in candidates.items()
        if name.startswith(unfinished)
    ]


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
    named = (option for option in command.params if word in option.opts)
    return next((option for option in named if not getattr(option, "is_flag", False)), None)


def _choices(option: Any) -> Sequence[str]:
    if option == "--role":
        return ("viewer", "operator")
    values = getattr(getattr(option, "type_descriptor", None), "annotation", None)
    return [str(member.value) for member in values] if isinstance(values, type) and issubclass(values, Enum) else ()


def _options(command: Any) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        yield from (
            (name, parameter.help or "") for name in parameter.opts if name.startswith("--") and name != "--url"
        )
