"""What a Pool's conditions say is renewed while their reason stays, and not for the sake of a number that counts on."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.operator.running import OperatorProcess, Site
from tests.support.cluster import wait_until
from tests.support.kube import kube_of

from afterbell_operator.act import Target
from afterbell_operator.conditions import Able
from afterbell_operator.decide import decide
from afterbell_operator.explain import REWORDED_S, Explainer
from afterbell_operator.kube import Kube
from afterbell_operator.model import History, Observation
from afterbell_operator.resources import spec_of
from afterbell_operator.tables import pool_in

pytestmark = pytest.mark.cluster
UNSEEN, GONE, LONG_GONE = "not seen yet", "Redis was last seen 5 s ago", "Redis was last seen 65 s ago"
BEGAN_S = 1_800_000_000.0


class Speaker:
    """Tells an unknown backlog at a moment of the test's own clock."""

    def __init__(self, kube: Kube, site: Site) -> None:
        self.at_s, self._site = BEGAN_S, site
        self._explainer = Explainer(kube, lambda _: None, lambda: self.at_s)

    async def say(self, because: str, later_s: float) -> float | None:
        """Seconds until it may be told, where it was left out."""
        self.at_s += later_s
        stored = pool_in(self._site.cluster.get("pool", "reports", "-n", self._site.namespace))
        spec, written = spec_of({"spec": stored.spec})
        seen = Observation(self.at_s, 0, None, because)
        decision = decide(seen, spec, History())
        target = Target(self._site.namespace, "worker", 0)
        return await self._explainer.status(
            stored, seen, decision, Able(), decision.history, target, None, written.source
        )

    def told(self) -> str:
        """The message of the condition."""
        (found,) = [one for one in self._site.status()["conditions"] if one["type"] == "BacklogObserved"]
        assert found["reason"] == "BacklogUnknown"
        return str(found["message"])


def speaking(site: Site, talk: Callable[[Speaker], Any]) -> None:
    async def run() -> None:
        async with kube_of(site.cluster) as kube:
            await talk(Speaker(kube, site))

    site.apply(replicas=0)
    asyncio.run(run())


def test_other_words_are_told_though_the_reason_stays_and_soon_rather_than_at_once(site: Site) -> None:
    async def talk(speaker: Speaker) -> None:
        await speaker.say(UNSEEN, 0)
        assert speaker.told() == UNSEEN
        assert await speaker.say(GONE, 10) == REWORDED_S - 10
        assert speaker.told() == UNSEEN
        assert await speaker.say(GONE, REWORDED_S - 10) is None
        assert speaker.told() == GONE

    speaking(site, talk)


def test_a_pool_that_is_made_again_under_its_name_is_spoken_of_again(site: Site, operator: OperatorProcess) -> None:
    for _ in range(2):
        site.apply(replicas=0)
        wait_until(lambda: site.condition("Ready") == ("True", "Scaling"), "the Pool to be ready")
        site.cluster.kubectl("delete", "pool", "reports", "-n", site.namespace)


def test_a_number_that_counts_on_is_not_written(site: Site) -> None:
    async def talk(speaker: Speaker) -> None:
        await speaker.say(GONE, 0)
        before = site.cluster.get("pool", "reports", "-n", site.namespace)["metadata"]["resourceVersion"]
        assert await speaker.say(LONG_GONE, REWORDED_S * 2) is None
        assert site.cluster.get("pool", "reports", "-n", site.namespace)["metadata"]["resourceVersion"] == before
        assert speaker.told() == GONE

    speaking(site, talk)
