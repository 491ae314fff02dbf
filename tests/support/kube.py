"""The operator's own client of the test cluster, with an administrator's rights."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from tests.support.cluster import Cluster

from afterbell_operator.kube import Kube


@asynccontextmanager
async def kube_of(cluster: Cluster) -> AsyncIterator[Kube]:
    """For the block."""
    configuration = Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        str(cluster.kubeconfig), client_configuration=configuration
    )
    async with ApiClient(configuration) as client:
        yield Kube(client)
