"""What kube-proxy is to a Service, on the test cluster: new connections go to its ready pods in turn.

    python -m tests.support.service DESCRIPTOR KUBECONFIG NAMESPACE SERVICE PORT_NAME

Takes connections on an inherited socket and passes them on in the network it runs in. A connection stays with its pod,
whatever becomes of that.
"""

import asyncio
import itertools
import socket
import sys
from contextlib import suppress
from pathlib import Path

import httpx2
from tests.support.forward import link
from tests.support.kubelet.api import client

LOOK_S = 0.1


class Backends:
    """The ready pods behind one port of a Service, in turn."""

    def __init__(self, http: httpx2.AsyncClient, namespace: str, service: str, port: str) -> None:
        self._http, self._port = http, port
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._label = f"kubernetes.io/service-name={service}"
        self._backends: list[tuple[str, int]] = []
        self._turn = itertools.count()

    async def follow(self) -> None:
        """Look again and again; an API server that is away changes nothing."""
        while True:
            with suppress(httpx2.HTTPError):
                answer = await self._http.get(self._path, params={"labelSelector": self._label})
                self._backends = self._ready(answer.raise_for_status().json()["items"])
            await asyncio.sleep(LOOK_S)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._backends:
            writer.transport.abort()
            return
        host, port = self._backends[next(self._turn) % len(self._backends)]
        await link(host, port, reader, writer)

    def _ready(self, slices: list[dict[str, object]]) -> list[tuple[str, int]]:
        addresses = []
        for each in slices:
            numbers = {port["name"]: port["port"] for port in each.get("ports") or ()}  # type: ignore[attr-defined]
            for endpoint in each.get("endpoints") or ():  # type: ignore[attr-defined]
                if endpoint["conditions"].get("ready"):
                    addresses += [(address, numbers[self._port]) for address in endpoint["addresses"]]
        return sorted(addresses)


async def main(descriptor: int, kubeconfig: str, *where: str) -> None:
    async with client(Path(kubeconfig)) as http:
        backends = Backends(http, *where)
        with socket.socket(fileno=descriptor) as listener:
            server = await asyncio.start_server(backends.connect, sock=listener)
            await asyncio.gather(server.serve_forever(), backends.follow())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
