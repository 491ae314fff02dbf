"""The control groups that a node may use, in version 1 and 2, made and taken away with it."""

from contextlib import suppress
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
HIERARCHIES: Final = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd")
CONTROLLERS: Final = "+cpu +cpuset +memory +pids"
# All pods are one group beside the processes of the machine: without more weight than one of them they would starve.
SHARES: Final = "10240"
WEIGHT: Final = "1000"


def unified() -> bool:
    """Whether this machine has version 2 alone."""
    return (ROOT / "cgroup.controllers").exists()


def make(name: str) -> None:
    """Raises OSError where this user may not."""
    if unified():
        (ROOT / "cgroup.subtree_control").write_text(CONTROLLERS)
        (ROOT / name).mkdir()
        (ROOT / name / "cpu.weight").write_text(WEIGHT)
        return
    for hierarchy in HIERARCHIES:
        if (ROOT / hierarchy).is_dir():
            (ROOT / hierarchy / name).mkdir(exist_ok=True)  # two may be one: cpu and cpuacct
    (ROOT / "cpu" / name / "cpu.shares").write_text(SHARES)
    for each in ("cpuset.cpus", "cpuset.mems"):
        if (ROOT / "cpuset" / each).exists():
            (ROOT / "cpuset" / name / each).write_text((ROOT / "cpuset" / each).read_text())


def remove(name: str) -> None:
    """All of it that holds no process any more."""
    parents = [ROOT] if unified() else [ROOT / each for each in (*HIERARCHIES, "unified")]
    for parent in parents:
        for folder in sorted((parent / name).rglob("*/"), key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        with suppress(OSError):
            (parent / name).rmdir()
