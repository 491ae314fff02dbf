"""The fence of a leader, with the real API server and a clock that stands until the test sets it."""

import asyncio
from datetime import UTC, datetime

import pytest
from tests.support.cluster import Cluster
from tests.support.kube import kube_of

from afterbell.service import Service
from afterbell_operator.elector import Elector, Terms
from afterbell_operator.kube import TIMEOUT_S

pytestmark = pytest.mark.cluster


async def test_a_leader_that_cannot_renew_stops_writing_a_whole_request_before_another_may_lead(
    cluster: Cluster, namespace: str
) -> None:
    terms = Terms(retry_s=60)  # no second try within the test
    clock = {"s": 1000.0}

    async with kube_of(cluster) as kube:
        elector = Elector(
            kube,
            namespace=namespace,
            name="lease",
            identity="me",
            now=lambda: clock["s"],
            wall=lambda: datetime.now(UTC),
            terms=terms,
        )
        election = Service("elector", elector.run)
        election.start()
        async with asyncio.timeout(30):
            while not elector.leading:
                await asyncio.sleep(0.01)
        assert elector.may_write()
        clock["s"] = 1000 + terms.lease_s - TIMEOUT_S - 0.1
        assert elector.may_write()
        clock["s"] = 1000 + terms.lease_s - TIMEOUT_S
        assert elector.leading
        assert not elector.may_write()
        clock["s"] = 1000 + terms.deadline_s
        assert not elector.leading
        await election.stop()
