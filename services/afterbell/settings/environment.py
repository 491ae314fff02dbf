"""Names in the environment that no setting has: renamed ones are refused, misspelled ones are reported."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

RENAMED: Final = {
    "AFTERBELL_RETRY_LADDER": "AFTERBELL_RETRY_BACKOFF_SECONDS",
    "AFTERBELL_SWEEP_REPUT_SECONDS": "AFTERBELL_SWEEP_WAITING_SECONDS",
    "AFTERBELL_SWEEP_UNPUT_SECONDS": "AFTERBELL_SWEEP_PENDING_SECONDS",
}
"""Old name to new name. An entry stays for one release after the renaming."""

OF_COMMANDS: Final = frozenset(
    {
        "AFTERBELL_ADMIN_TOKEN",
        "AFTERBELL_ADMIN_URL",
        "AFTERBELL_TOKEN",
        "AFTERBELL_URL",
        "AFTERBELL_WEBHOOK_SECRET",
    }
)
"""Read by commands, as options are."""

PREFIX: Final = "AFTERBELL_"
# Kubernetes describes each Service of the namespace this way where a pod asks for it (enableServiceLinks).
_SERVICE_LINK: Final = re.compile(r"_SERVICE_(?:HOST|PORT)(?:_\w+)?$|_PORT(?:_\d+_(?:TCP|UDP)\w*)?$")
_SIMILAR: Final = 0.8


def renamed(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each old name that is set, and the name it has now."""
    return ((old, new) for old, new in RENAMED.items() if environment.get(old))


def unknown(environment: Mapping[str, str], known: Collection[str]) -> Iterator[tuple[str, str | None]]:
    """Each name with our prefix that nothing reads, and the setting it may have meant."""
    names = {*known, *OF_COMMANDS}
    for name in sorted(environment):
        ours = name.startswith(PREFIX) and name not in names and name not in RENAMED
        if ours and not _SERVICE_LINK.search(name):
            yield name, next(iter(get_close_matches(name, names, n=1, cutoff=_SIMILAR)), None)
