"""What a node's programs read, as text. Values in, text out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DNS_ADDRESS: Final = "10.96.0.10"
DOMAIN: Final = "cluster.local"
PODS: Final = "10.244.0.0/16"
PAUSE: Final = "registry.k8s.io/pause:3.10"
PLUGINS: Final = "/usr/lib/cni"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a node keeps its things. ``kept`` outlives it: images that are imported once."""

    home: Path
    kept: Path
    number: int

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def socket(self) -> Path:
        return self.home / "containerd.sock"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def networks(self) -> Path:
        return self.home / "networks"


def containerd(places: Places, *, may_raise_oom_scores: bool) -> str:
    """For containerd 1.6 and 1.7. Without the right to it no process gets an OOM score below its parent's."""
    return f"""
version = 2
root = "{places.kept / "containerd"}"
state = "{places.state}"
[grpc]
  address = "{places.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = {str(not may_raise_oom_scores).lower()}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{places.networks}"
"""


def kubelet(places: Places, authority: Path, certificate: Path, key: Path, cgroup: str, **more: Any) -> str:
    """A KubeletConfiguration; ``more`` are fields of it that a test wants otherwise."""
    fields = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": DOMAIN,
        "containerRuntimeEndpoint": f"unix://{places.socket}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "failSwapOn": False,
        "resolvConf": "",
        "podLogsDir": str(places.home / "logs"),
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "5s",
    }
    return json.dumps(fields | more, indent=1)


def network(places: Places) -> str:
    """How pods get an address: a wire each to the node, which routes."""
    subnet = PODS.replace(".0.0/16", f".{places.number}.0/24")
    addresses = {
        "type": "host-local",
        "dataDir": str(places.home / "addresses"),
        "ranges": [[{"subnet": subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "node", "plugins": plugins})


def names(kubeconfig: Path) -> str:
    """CoreDNS's Corefile: the names of the cluster, and no others."""
    return f"""
.:53 {{
  bind {DNS_ADDRESS}
  errors
  kubernetes {DOMAIN} {{
    kubeconfig {kubeconfig}
    pods insecure
  }}
  cache 5
}}
"""


def api_server_behind_its_service(address: str, port: int) -> list[dict[str, Any]]:
    """The endpoint of the Service `kubernetes`, which the API server of the tests does not make by itself."""
    metadata = {
        "name": "kubernetes",
        "namespace": "default",
        "labels": {"kubernetes.io/service-name": "kubernetes"},
    }
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }
    ]
