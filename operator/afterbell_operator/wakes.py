"""Which Pools need a round after an event: the Pool itself, or those that follow the source or name the target."""

from dataclasses import dataclass

from afterbell_operator.watch_cache import Followed, Key, Tables
from afterbell_operator.workqueue import WorkQueue


@dataclass(frozen=True, slots=True)
class Wakes:
    """Adds to ``work`` the keys of the Pools in ``tables`` that an event concerns."""

    tables: Tables
    work: WorkQueue

    def pool(self, key: Key) -> None:
        """The Pool came, changed or went."""
        self.work.add(key)

    def every_pool(self) -> None:
        """An event that concerns all, such as a change of leader."""
        for key in list(self.tables.pools):
            self.work.add(key)

    def source(self, source: Followed) -> None:
        """A queue changed, or the api pods that share one."""
        for key in self.tables.pools_of_source(source):
            self.work.add(key)

    def target(self, target: Key) -> None:
        """A Deployment changed."""
        for key in self.tables.pools_of_target(target):
            self.work.add(key)
