"""A real Prometheus (Debian's, unpacked by `make tools`) that scrapes processes of this machine."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".tools" / "prometheus"
ENVIRONMENT = os.environ  # noqa: TID251 - CI is told by it


def require(*programs: str) -> None:
    """Skip, or fail in CI, where one of "prometheus" and "promtool" is missing."""
    if missing := [name for name in programs if not (FOLDER / name).exists()]:
        said = f"no {' or '.join(missing)} in .tools/prometheus: run `make tools` where apt-get is"
        if ENVIRONMENT.get("CI"):
            pytest.fail(said)
        pytest.skip(said)


def promtool(*words: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    """What promtool said and how it ended."""
    return subprocess.run(
        [str(FOLDER / "promtool"), *words], input=stdin, capture_output=True, text=True, timeout=120, check=False
    )


class Prometheus:
    """Asked by its HTTP API."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def ask(self, path: str, **parameters: Any) -> Any:
        answer = self._http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def range(self, query: str, began: float, ended: float) -> list[dict[str, Any]]:
        series: list[dict[str, Any]] = self.ask("query_range", query=query, start=began, end=ended, step=2)["result"]
        return series

    def values(self, label: str, selector: str) -> list[str]:
        labels: list[str] = self.ask(f"label/{label}/values", **{"match[]": selector})
        return labels


@contextmanager
def scraping(home: Path, targets: dict[str, str], rules: list[Path]) -> Iterator[Prometheus]:
    """``targets``: instance → host:port; every second, as a PodMonitor would label them."""
    require("prometheus")
    port = free_port()
    static = [
        {"targets": [address], "labels": {"namespace": "lessons", "job": "lessons/afterbell", "instance": name}}
        for name, address in targets.items()
    ]
    configured = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "5s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": "afterbell", "static_configs": static}],
    }
    (home / "prometheus.yml").write_text(yaml.safe_dump(configured))
    command = [
        str(FOLDER / "prometheus"),
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={home}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (home / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/-/ready", home / "prometheus.log")
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as http:
            yield Prometheus(http)
    finally:
        process.terminate()
        process.wait(20)


def dashboards() -> dict[str, dict[str, Any]]:
    """The committed ones, by name."""
    folder = ROOT / "charts" / "afterbell" / "dashboards"
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}


def rule_files() -> list[Path]:
    return sorted((ROOT / "charts" / "afterbell" / "rules").glob("*.yaml"))


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx2.get(url, timeout=2).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
