"""Real processes under a scripted load, scraped by a real Prometheus: no panel is empty, no scrape costs anything."""

import asyncio
import math
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.operator.pools import install_crd, pool
from tests.operator.running import Site, deployment, operating
from tests.operator.voices import Voices
from tests.support.cluster import Cluster
from tests.support.command import run
from tests.support.engines import fresh_database, require_wheels
from tests.support.fleet import Fleet, fleet
from tests.support.platform import a_session, a_token
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus, dashboards, promtool, require, rule_files, scraping
from tests.support.promises import Promised
from tests.support.receiver import receiver
from tests.support.sockets import Client

from afterbell.dev.engines.engines import EngineUrls

pytestmark = [pytest.mark.engines, pytest.mark.cluster]
BOARDS = dashboards()
LOAD_S = 30
SOCKETS = 5
SETTINGS = {
    "AFTERBELL_STARTS_PER_WINDOW": "3",
    "AFTERBELL_STARTS_WINDOW_SECONDS": "3",
    "AFTERBELL_LEASE_SECONDS": "2",
    "AFTERBELL_RETRY_BACKOFF_SECONDS": "0.2,0.2,0.2",
    "AFTERBELL_WHEN_MODEL_FAILS": "fail",
    "AFTERBELL_REDIS_COMMANDS_PER_DAY": "10000",
    "AFTERBELL_BUDGET_DAY_USD": "5",
    "AFTERBELL_WEBHOOK_ALLOW": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """What was scraped, from when to when, and by whom."""

    prometheus: Prometheus
    fleet: Fleet
    began: float
    ended: float
    has_operator: bool


@pytest.fixture(scope="module")
def watched(
    engine_urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Watched]:
    require("prometheus", "promtool")
    require_wheels("valkey", "postgres")
    home = tmp_path_factory.mktemp("watched")
    redis_url = engine_urls.redis_url or ""
    with ExitStack() as stack:
        database_url = stack.enter_context(fresh_database(engine_urls))
        running = stack.enter_context(fleet(redis_url, database_url, home, apis=2, pace="quick", **SETTINGS))
        targets = {f"api-{number}": url for number, url in enumerate(running.internal_urls)} | {
            "worker-0": running.worker_url
        }
        operator_url = operator(stack, home, redis_url, running.queue, request)
        if operator_url:
            targets["operator-0"] = operator_url
        addresses = {name: url.removeprefix("http://") for name, url in targets.items()}
        prometheus = stack.enter_context(scraping(home, addresses, rule_files()))
        began = datetime.now(UTC).timestamp()
        nightly = run("retention", "run", DATABASE_URL=database_url)
        assert nightly.returncode == 0, nightly.stderr
        asyncio.run(load(running))
        time.sleep(3)
        yield Watched(prometheus, running, began, datetime.now(UTC).timestamp(), bool(operator_url))


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_of_every_panel_shows_data_whatever_is_chosen(watched: Watched, name: str) -> None:
    if name == "scaling" and not watched.has_operator:
        pytest.skip("no test cluster: no operator")
    empty = []
    for panel in (panel for panel in BOARDS[name]["panels"] if "targets" in panel):
        for target in (target for target in panel["targets"] if "expr" in target):
            for chosen in choices(watched.prometheus, BOARDS[name]):
                query = filled(target["expr"], chosen)
                if not has_numbers(watched.prometheus.range(query, watched.began, watched.ended)):
                    empty.append(f"{panel['title']}: {query}")
    assert not empty, "\n".join(empty)


def test_a_pool_of_sockets_shows_how_many_are_open(watched: Watched) -> None:
    if not watched.has_operator:
        pytest.skip("no test cluster: no operator")
    (query,) = (panel["targets"][0]["expr"] for panel in BOARDS["scaling"]["panels"] if panel["title"] == "Sockets")
    chosen = {"namespace": ".*", "job": ".*", "scaler": ".*/sockets"}
    (series,) = watched.prometheus.range(filled(query, chosen), watched.began, watched.ended)
    assert float(series["values"][-1][1]) == SOCKETS


def test_the_job_explorer_asks_for_fields_the_admin_api_has(watched: Watched) -> None:
    minted = run("token", "--admin", "operator", "--sub", "grafana")
    assert minted.returncode == 0, minted.stderr
    http = httpx2.Client(
        base_url=watched.fleet.internal_urls[0], headers={"Authorization": f"Bearer {minted.stdout.strip()}"}
    )
    with http:
        for verb in ("pause", "resume"):
            assert http.post(f"/admin/queue/{verb}", json={"reason": "trying it"}).status_code == 200
        assert http.get("/admin/jobs?state=any&tenant=&session=&participant=&error=&limit=1").json()["jobs"]
        for state in ("failed", "succeeded"):
            chosen = {"state": state}
            for target in [panel["targets"][0] for panel in BOARDS["jobs"]["panels"] if "targets" in panel]:
                answer = http.get(path_of(target, chosen))
                assert answer.status_code == 200, answer.text
                rows = rows_of(answer.json(), target["root_selector"])
                assert rows, target["url"]
                assert {column["selector"] for column in target["columns"]} <= set(rows[0])
                chosen.setdefault("job_id", rows[0].get("jobId", ""))


def path_of(target: dict[str, Any], chosen: dict[str, str]) -> str:
    """The address of a table with its variables filled in, as Grafana does it."""
    return re.sub(r"\$\{(\w+)(:percentencode)?\}", lambda name: chosen.get(name[1], ""), target["url"])


def rows_of(answer: Any, selector: str) -> list[dict[str, Any]]:
    """What JSONata finds: it goes through lists, and of lists of lists it makes one."""
    rows = [answer]
    for name in selector.split("."):
        steps = [row[name] for row in rows]
        rows = [each for step in steps for each in (step if isinstance(step, list) else [step])]
    return rows


def test_annotations_can_be_asked_for(watched: Watched) -> None:
    for annotation in BOARDS["overview"]["annotations"]["list"]:
        watched.prometheus.range(
            filled(annotation["expr"], {"namespace": ".*", "job": ".*"}), watched.began, watched.ended
        )


def test_every_rule_can_be_evaluated_on_what_the_processes_expose(watched: Watched) -> None:
    groups = watched.prometheus.ask("rules")["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"] == []
    assert len(groups) >= len(rule_files())


def test_promtool_finds_nothing_to_complain_about_in_a_scrape(watched: Watched) -> None:
    for url in (watched.fleet.internal_urls[0], watched.fleet.worker_url):
        said = promtool("check", "metrics", stdin=httpx2.get(f"{url}/metrics").text)
        ours = [line for line in said.stderr.splitlines() if line.startswith("afterbell_")]
        assert ours == [], url


def test_a_scrape_sends_redis_nothing(watched: Watched, promised: Promised) -> None:
    url, took = f"{watched.fleet.internal_urls[0]}/metrics", []
    with httpx2.Client() as http:
        before = commands_in(http.get(url).text)
        for _ in range(200):
            began = time.perf_counter()
            assert http.get(url).status_code == 200
            took.append(time.perf_counter() - began)
        # The process's own work goes on meanwhile: a few commands, not one a scrape.
        assert commands_in(http.get(url).text) - before < 20
    promised("scrape_p50", sorted(took)[100], 0.02)


def commands_in(scrape: str) -> float:
    """Every command to Redis the process has sent."""
    lines = [line for line in scrape.splitlines() if line.startswith("afterbell_redis_commands_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def operator(stack: ExitStack, home: Path, redis_url: str, queue: str, request: pytest.FixtureRequest) -> str:
    """The address of a real operator's metrics; "" without a cluster.

    One Pool scales a Deployment by the load's queue, another would scale one by the sockets of a pod it hears.
    """
    try:
        cluster: Cluster = request.getfixturevalue("cluster")
    except pytest.skip.Exception:
        return ""
    namespace, port = f"t-{uuid.uuid4().hex[:12]}", free_port()
    cluster.kubectl("create", "namespace", namespace)
    stack.callback(cluster.kubectl, "delete", "namespace", namespace, "--wait=false")
    install_crd(cluster)
    Site(cluster, namespace, queue).apply(replicas=0)
    source = {"connections": {"queue": queue}}
    sockets = pool("sockets", scaleTargetRef={"name": "api"}, mode="Advise", minReplicas=1, source=source)
    cluster.apply(deployment("api", replicas=0), sockets, namespace=namespace)
    voices = Voices(redis_url, queue)
    voices.sockets["api-0a1b2c3d4e-abcde"] = SOCKETS
    stack.callback(voices.close)
    stack.enter_context(
        operating(
            cluster, redis_url, home, namespace, AFTERBELL_INTERNAL_PORT=str(port), AFTERBELL_OPERATOR_TICK_SECONDS="1"
        )
    )
    return f"http://127.0.0.1:{port}"


async def load(running: Fleet) -> None:
    """Half a minute of lessons: sockets come and go, reports are asked for, the provider has its moods."""
    headers = {"Authorization": f"Bearer {a_token('admin', 'admin-1')}"}
    async with httpx2.AsyncClient(base_url=running.urls[0], headers=headers, timeout=20) as http, receiver() as hook:
        made = await http.post("/api/webhooks", json={"url": hook.url})
        assert made.status_code == 201, made.text
        ended = time.monotonic() + LOAD_S
        for number in range(1_000):
            if time.monotonic() > ended:
                break
            await lesson(running, http, f"lesson-{number}")
            await asyncio.sleep(0.7)


async def lesson(running: Fleet, http: httpx2.AsyncClient, name: str) -> None:
    """Import, chat, ask; every few lessons the provider fails or asks to wait."""
    (await http.put(f"/api/sessions/{name}", json=a_session(name))).raise_for_status()
    clients = [
        await Client(url, a_token(who, who)).connect()
        for who, url in zip(("tutor", "student"), running.urls, strict=True)
    ]
    for client in clients:
        await client.join(name)
    assert (await clients[0].say("Was that the last exercise?"))["ok"]
    for client in clients:
        await client.close()
    number = int(name.rpartition("-")[2])
    fault = {1: "500", 3: "refusal", 5: "500"}.get(number % 8)
    if fault:
        async with httpx2.AsyncClient() as stub:
            (await stub.post(f"{running.stub_url}/_stub/faults", json={"faults": [fault]})).raise_for_status()
    answer = await http.post(f"/api/reports/session/{name}")
    assert answer.status_code in (200, 202), answer.text


def choices(prometheus: Prometheus, board: dict[str, Any]) -> list[dict[str, str]]:
    """Every way to choose: all, or one value, of each variable."""
    variables = [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
    values = []
    for variable in variables:
        selector, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        known = prometheus.values(label, filled(selector, {each["name"]: ".*" for each in variables}))
        assert known, f"no value for ${variable['name']}"
        values.append([".*", *known])
    return [dict(zip([variable["name"] for variable in variables], chosen, strict=True)) for chosen in product(*values)]


def filled(query: str, chosen: dict[str, str]) -> str:
    for name, value in chosen.items():
        query = query.replace(f"${name}", value)
    return query.replace("$__rate_interval", "15s")


def has_numbers(series: list[dict[str, Any]]) -> bool:
    return any(not math.isnan(float(value)) for line in series for _, value in line["values"])
