"""What a Pool's conditions say is renewed while their reason stays, and not for the sake of a number that counts on."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.operator.running import OperatorProcess, Site
from tests.support.kube import kube_of
from tests.support.waiting import until as wait_until

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import Queue, QueueRules
from afterbell.adapters.queue.subscription import Subscriber
from afterbell.adapters.redis.connections import connect
from afterbell_operator.act.actor import ScaleAttempt
from afterbell_operator.decide.decide import decide
from afterbell_operator.decide.values import Observation, ScalingHistory, UnknownLoad
from afterbell_operator.explain.explainer import REWORDED_S, Explainer
from afterbell_operator.explain.outcome import Decided
from afterbell_operator.kube import Kube
from afterbell_operator.observe.backlog import QueueObserver
from afterbell_operator.observe.facts import Facts
from afterbell_operator.resources import spec_of
from afterbell_operator.watch_cache import ScaleTarget, pool_in

pytestmark = pytest.mark.cluster
UNREAD, GONE, LONG_GONE = "not read yet", "Redis was last read 5 s ago", "Redis was last read 65 s ago"
BEGAN_S = 1_800_000_000.0


class Speaker:
    """Explains an unknown backlog at a moment of the test's own clock."""

    def __init__(self, kube: Kube, site: Site) -> None:
        self.at_s, self._site = BEGAN_S, site
        self._explainer = Explainer(kube, lambda _: None, lambda: self.at_s)
        client = connect("redis://127.0.0.1:1/0")  # nobody connects: only the age of its last answer is asked for
        queue = Queue(client, QueueKeys(site.queue), QueueRules())
        self._observer = QueueObserver(Subscriber(client), queue, tick_s=60, changed=lambda: None)

    async def say(self, because: str, later_s: float) -> float | None:
        """Seconds until it may be written, where it was left out."""
        self.at_s += later_s
        stored = pool_in(self._site.cluster.get("pool", "reports", "-n", self._site.namespace))
        spec, wish = spec_of({"spec": stored.spec})
        observation = Observation(self.at_s, 0, UnknownLoad(because))
        decision = decide(observation, spec, ScalingHistory())
        facts = Facts(
            spec=spec,
            source=wish.source,
            target=ScaleTarget(self._site.namespace, "worker", 0),
            observer=self._observer,
            observation=observation,
        )
        decided = Decided(
            facts=facts,
            history=ScalingHistory(),
            decision=decision,
            attempt=ScaleAttempt(),
            next_history=decision.history,
        )
        return await self._explainer.explain(stored, decided)

    def message(self) -> str:
        """The message of the condition."""
        conditions = {condition["type"]: condition for condition in self._site.status()["conditions"]}
        assert conditions["BacklogObserved"]["reason"] == "BacklogUnknown"
        return str(conditions["BacklogObserved"]["message"])


def speaking(site: Site, talk: Callable[[Speaker], Any]) -> None:
    async def run() -> None:
        async with kube_of(site.cluster) as kube:
            await talk(Speaker(kube, site))

    site.apply(replicas=0)
    asyncio.run(run())


def test_other_words_are_told_though_the_reason_stays_and_soon_rather_than_at_once(site: Site) -> None:
    async def talk(speaker: Speaker) -> None:
        await speaker.say(UNREAD, 0)
        assert speaker.message() == UNREAD
        assert await speaker.say(GONE, 10) == REWORDED_S - 10
        assert speaker.message() == UNREAD
        assert await speaker.say(GONE, REWORDED_S - 10) is None
        assert speaker.message() == GONE

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
        assert speaker.message() == GONE

    speaking(site, talk)
