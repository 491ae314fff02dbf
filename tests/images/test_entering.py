"""The surroundings in which the images are tried are those of a strict cluster."""

from pathlib import Path

import pytest
from tests.support.cluster import absent
from tests.support.dockerfile import Image
from tests.support.image_pods import ImagePod, Surroundings, missing_parts

LOOK = """
import os, pwd, socket
print("user", os.getuid(), os.getgid(), os.getgroups())
try:
    print("name", pwd.getpwuid(os.getuid()).pw_name)
except KeyError:
    print("no name")
for folder in ("", "/app", "/usr", "/etc", os.environ["HOME"], "/tmp"):
    try:
        open(folder + "/written", "w").close()
        print("could write in", folder)
    except OSError:
        pass
print("rights", open("/proc/self/status").read().partition("CapEff:")[2].split()[0])
print("networks", [name for _, name in socket.if_nameindex()])
"""


@pytest.mark.network
@pytest.mark.timeout(600)
def test_a_container_has_no_name_no_rights_no_network_and_writes_to_its_volumes_alone(
    images: dict[str, Image], tmp_path: Path
) -> None:
    if missing := missing_parts():
        absent(f"images cannot be entered without {', '.join(missing)}")
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    container = {
        "name": "look",
        "image": "afterbell-worker",
        "command": ["python", "-c", LOOK],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    pod = ImagePod("look", spec, Surroundings({"afterbell-worker": images["worker"]}, {}), tmp_path / "look")
    try:
        said = pod.run(container).splitlines()
    finally:
        pod.close()
    assert said == [
        "user 10001 10001 []",
        "no name",
        "could write in /tmp",
        "rights 0000000000000000",
        "networks ['lo']",
    ]
