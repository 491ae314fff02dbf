"""Where a pod runs: an address of its own, and the words before each of its commands."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tests.support.networks import Network, ip


@dataclass(frozen=True, slots=True)
class Place:
    """The address of a pod, what to write before its commands, and the network that is closed with it."""

    ip: str
    enter: tuple[str, ...] = ()
    network: Network | None = None

    def close(self) -> None:
        if self.network is not None:
            self.network.close()


class Places(Protocol):
    """Gives each pod its place."""

    node_ip: str

    def open(self) -> Place: ...


class Bridged:
    """Each pod has a network of its own on the bridge `pods`, as in a real cluster: all may bind the same port."""

    def __init__(self, prefix: str, node: int) -> None:
        self.node_ip = f"{prefix}.{node}.1"
        self._prefix, self._node = prefix, node
        self._numbers = _rounds()
        ip(f"address replace {self.node_ip}/32 dev pods")

    def open(self) -> Place:
        """Raises OSError. The other end of the wire vanishes with the pod's network, so a number is free by then."""
        number = next(self._numbers)
        network, address = Network(), f"{self._prefix}.{self._node}.{number}"
        wire = f"pod{self._node}n{number}"
        try:
            ip(f"link add {wire} type veth peer name eth0 netns {network.pid}", f"link set {wire} master pods up")
            network.configure(
                "link set lo up",
                f"address add {address}/16 dev eth0",
                "link set eth0 up",
                f"route add default via {self._prefix}.0.1",
            )
        except OSError:
            network.close()
            raise
        return Place(address, tuple(network.enter), network)


class Shared:
    """All pods on this machine's loopback, each with an address in 127/8, where no network may be made."""

    def __init__(self, prefix: str, node: int) -> None:
        self.node_ip = f"{prefix}.{node}.1"
        self._prefix, self._node = prefix, node
        self._numbers = _rounds()

    def open(self) -> Place:
        return Place(str(ipaddress.ip_address(f"{self._prefix}.{self._node}.{next(self._numbers)}")))


def _rounds() -> Iterator[int]:
    """The last number of an address, in turns: a pod's is not given again soon after it ended."""
    while True:
        yield from range(2, 255)
