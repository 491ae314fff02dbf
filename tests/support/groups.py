"""Which tests run side by side: what shares a server stays on one worker, and what takes longest begins first."""

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

# By folder, longest first: everybody waits for what begins last.
LONGEST_FIRST: Final = (
    "tests/operator",
    "tests/cluster",
    "tests/images",
    "tests/observability",
    "tests/web",
    "tests/realtime",
    "tests/flows",
    "tests/faults",
    "tests/adapters/queue",
    "tests/cli",
    "tests/api",
)
# What costs much to make is made once for all that use it, whichever file they are in: a cluster takes 5 s and a
# gigabyte, the images take minutes where nothing is cached.
SHARED: Final = {
    "tests/operator/test_scaling": "tests/operator/scaling",
    "tests/operator/": "tests/operator",
    "tests/cluster/": "tests/cluster",
    "tests/chart/": "tests/cluster",
    "tests/images/": "tests/images",
}


class _Grouped(LoadScopeScheduling):
    """Hands each group to one worker. (xdist's own ``loadgroup`` marks node ids, which pytest 9.2 computes itself.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Ours in the place of ``--dist loadscope``."""
    return _Grouped(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(group_of(item.nodeid)))


def group_of(nodeid: str) -> str:
    """The group of a test by its node id: its file, or all that share what is dear."""
    file = nodeid.partition("::")[0]
    return next((group for folder, group in SHARED.items() if file.startswith(folder)), file)


def rank(group: str) -> int:
    """Its place among the groups, by folder."""
    return next((at for at, folder in enumerate(LONGEST_FIRST) if group.startswith(folder)), len(LONGEST_FIRST))
