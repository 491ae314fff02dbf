"""PostgreSQL away: 503 and when to come back. Redis away: 202, and the job is put when it is back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from tests.support.api import Api, api_on, imported, lesson_json
from tests.support.engines import fresh_database
from tests.support.links import Door, door_to, postgres_socket, redis_socket
from tests.support.promises import Promised
from tests.support.waiting import until

from afterbell.adapters.queue.redis_queue import Queue
from afterbell.api.admin.admin_tokens import mint_admin
from afterbell.dev.engines.engines import EngineUrls
from afterbell.settings import DEVELOPMENT_SECRET

pytestmark = pytest.mark.engines


@contextmanager
def behind_doors(engine_urls: EngineUrls, folder: Path) -> Iterator[tuple[Api, Door, Door]]:
    """An API, and the doors to its Redis and its PostgreSQL."""
    redis, postgres = redis_socket(engine_urls.redis_url or ""), postgres_socket(engine_urls.database_url or "")
    with (
        fresh_database(engine_urls) as database_url,
        door_to(redis, folder / "r") as redis_door,
        door_to(postgres, folder / ".s.PGSQL.5432") as postgres_door,
    ):
        through = f"{database_url.partition('?')[0]}?host={quote(str(folder))}"
        with api_on(f"unix://{folder}/r", through) as api:
            yield api, redis_door, postgres_door


def test_why_work_waits_is_told_while_redis_is_away(engine_urls: EngineUrls, tmp_path: Path) -> None:
    with behind_doors(engine_urls, tmp_path) as (api, redis, _), api.client() as client:
        redis.shut()
        assert client.post(f"/api/reports/session/{imported(client)}").status_code == 202
        token = mint_admin(
            DEVELOPMENT_SECRET, subject="ada", role="viewer", now=datetime.now(UTC), lifetime=timedelta(hours=1)
        )
        answer = httpx2.get(
            api.internal_url + "/admin/queue/why", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        assert (answer.status_code, answer.json()["cause"]) == (200, "queue_away")
        assert "none of 1 job" in answer.json()["sentence"]
        redis.open()


def test_while_postgresql_is_away_every_answer_is_503_and_afterwards_all_is_well(
    engine_urls: EngineUrls, tmp_path: Path
) -> None:
    with behind_doors(engine_urls, tmp_path) as (api, _, postgres), api.client() as client:
        session = imported(client)
        postgres.shut()
        requests = [
            ("POST", f"/api/reports/session/{session}", None),
            ("GET", f"/api/reports/session/{session}", None),
            ("GET", f"/api/reports/session/{session}/status", None),
            ("PUT", f"/api/sessions/{session}", lesson_json(subject="x")),
            ("POST", f"/api/sessions/{session}/messages", {"text": "x", "sender": "p-tutor"}),
            ("GET", f"/api/sessions/{session}/messages", None),
        ]
        for method, path, body in requests:
            answer = client.request(method, path, json=body)
            assert answer.status_code == 503, path
            assert answer.headers["retry-after"] == "5"
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "store_unavailable"
            assert "PostgreSQL does not answer; nothing was changed" in answer.json()["detail"]
            assert str(tmp_path) not in answer.text
        ready = httpx2.get(api.internal_url + "/readyz")
        assert (ready.status_code, ready.json()) == (503, ready.json() | {"ready": False, "postgresql": "away"})
        assert httpx2.get(api.internal_url + "/livez").status_code == 200
        postgres.open()
        assert client.post(f"/api/reports/session/{session}").status_code == 202
        assert httpx2.get(api.internal_url + "/readyz").status_code == 200


def test_a_connection_that_postgresql_dropped_costs_one_answer_at_the_most(
    engine_urls: EngineUrls, tmp_path: Path
) -> None:
    with behind_doors(engine_urls, tmp_path) as (api, _, postgres), api.client() as client:
        session = imported(client)
        postgres.cut()
        answers = [client.post(f"/api/reports/session/{session}").status_code for _ in range(5)]
        assert answers[1:] == [202] * 4
        assert answers[0] in (202, 503)


def test_while_redis_is_away_reports_are_taken_and_put_when_it_is_back(
    engine_urls: EngineUrls, tmp_path: Path, promised: Promised
) -> None:
    with behind_doors(engine_urls, tmp_path) as (api, redis, _), api.client() as client:
        sessions = [imported(client) for _ in range(3)]
        redis.shut()
        for session in sessions:
            answer = client.post(f"/api/reports/session/{session}")
            assert (answer.status_code, answer.json()["status"]) == (202, "queued")
            promised("taken_while_redis_is_away", answer.elapsed.total_seconds(), 1)
            assert client.get(f"/api/reports/session/{session}/status").json()["status"] == "waiting"
        assert httpx2.get(api.internal_url + "/readyz").status_code == 200
        redis.open()
        until(lambda: api.jobs(Queue.stats).waiting == 3)
