"""Webhooks over the API: registered, guarded, delivered and signed, tried again, rotated, switched off, audited."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from standardwebhooks import Webhook
from tests.support.api import Api, api_on, fresh_api, imported
from tests.support.receiver import answer, receiver
from tests.support.waiting import eventually

from afterbell.adapters.db import audit
from afterbell.adapters.db.reports import rows as reports
from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines
ADMIN = {"role": "admin", "subject": "ada"}
HOOKS = "/api/webhooks"


@pytest.fixture(scope="module")
def sending(engine_urls: EngineUrls) -> Iterator[Api]:
    """An API that may send to this machine."""
    with fresh_api(engine_urls, webhook_allow=("127.0.0.0/8",), webhook_timeout_s=2) as served:
        yield served


async def call(client: httpx2.Client, method: str, path: str, body: Any = None) -> Any:
    """A request of this thread's client while the receiver's loop turns."""
    answered = await asyncio.to_thread(client.request, method, path, json=body)
    assert answered.is_success, answered.text
    return answered.json()


async def finish(api: Api, client: httpx2.Client, tenant: str) -> str:
    """A report that is asked for over the API and finished as a worker finishes it."""
    session = await asyncio.to_thread(imported, client)
    job = await call(client, "POST", f"/api/reports/session/{session}")

    async def work(connection: Any) -> None:
        claimed = await reports.claim(connection, uuid.UUID(job["jobId"][len("report-") :]), "w")
        assert claimed is not None
        assert claimed.tenant_id == tenant
        assert await reports.finish(connection, claimed, {"narrative": {}}, 1)

    await asyncio.to_thread(api.record, work)
    return session


async def test_a_finished_report_arrives_signed_within_a_moment(sending: Api) -> None:
    async with receiver() as at:
        with sending.client("told", **ADMIN) as client:
            hook = await call(client, "POST", HOOKS, {"url": at.url})
            session = await finish(sending, client, "told")
            await at.until(1)
            event: Any = Webhook(hook["secret"]).verify(at.got[0].body, at.got[0].headers)
            assert (event["type"], event["data"]["sessionId"]) == ("report.ready", session)
            followed = await call(client, "GET", event["data"]["statusUrl"])
            assert followed["status"] == "completed"
            (delivery,) = await delivered(client, hook["webhook"]["id"])
            assert (delivery["status"], delivery["answerStatus"], delivery["attempts"]) == ("delivered", 204, 1)
            assert delivery["messageId"] == at.got[0].headers["webhook-id"]


async def delivered(client: httpx2.Client, endpoint_id: str, state: str = "delivered") -> list[dict[str, Any]]:
    """The endpoint's deliveries, once the newest is in this state."""

    async def newest_settled() -> list[dict[str, Any]]:
        deliveries: list[dict[str, Any]] = (await call(client, "GET", f"{HOOKS}/{endpoint_id}/deliveries"))[
            "deliveries"
        ]
        settled = deliveries and deliveries[0]["status"] == state and (state != "pending" or deliveries[0]["error"])
        return deliveries if settled else []

    return await eventually(newest_settled)


async def test_what_is_refused_is_tried_again_under_the_same_id_with_a_new_signature(sending: Api) -> None:
    async with receiver(answers=[answer(500)]) as at:
        with sending.client("again", **ADMIN) as client:
            hook = await call(client, "POST", HOOKS, {"url": at.url})
            endpoint_id = hook["webhook"]["id"]
            await call(client, "POST", f"{HOOKS}/{endpoint_id}/test")
            (waiting,) = await delivered(client, endpoint_id, "pending")
            assert (waiting["error"], waiting["attempts"]) == ("answered 500", 1)
            assert waiting["nextAttemptAt"] is not None
            await at.until(2)  # after 5 s and up to a tenth
            first, second = at.got
            assert first.headers["webhook-id"] == second.headers["webhook-id"]
            assert first.body == second.body
            assert int(second.headers["webhook-timestamp"]) >= int(first.headers["webhook-timestamp"]) + 5
            for got in at.got:
                Webhook(hook["secret"]).verify(got.body, got.headers)


async def test_an_attempt_that_makes_us_fail_is_an_attempt_like_any_other(sending: Api) -> None:
    async with receiver() as at:
        with sending.client("fails", **ADMIN) as client:
            hook = await call(client, "POST", HOOKS, {"url": at.url})
            endpoint_id = hook["webhook"]["id"]
            spoil = text("UPDATE webhook_endpoints SET secret = 'unusable' WHERE id = :id").bindparams(
                id=uuid.UUID(endpoint_id)
            )
            await asyncio.to_thread(sending.record, lambda connection: connection.execute(spoil))
            await call(client, "POST", f"{HOOKS}/{endpoint_id}/test")
            (waiting,) = await delivered(client, endpoint_id, "pending")
            assert (waiting["error"], waiting["attempts"]) == ("failed: InvalidInput", 1)
            assert at.got == []


async def test_a_slow_receiver_holds_up_nobody_else(redis_url: str, database_url: str) -> None:
    patient = {"webhook_allow": ("127.0.0.0/8",), "webhook_timeout_s": 30}
    async with receiver(answers=[""]) as slow, receiver() as quick:
        with api_on(redis_url, database_url, **patient) as api, api.client("slow", **ADMIN) as client:
            for at in (slow, quick):
                await call(client, "POST", HOOKS, {"url": at.url})
            await finish(api, client, "slow")
            await quick.until(1)


async def test_a_secret_is_rotated_while_receivers_change_over(sending: Api) -> None:
    async with receiver() as at:
        with sending.client("rotating", **ADMIN) as client:
            old = await call(client, "POST", HOOKS, {"url": at.url})
            path = f"{HOOKS}/{old['webhook']['id']}"
            new = await call(client, "POST", f"{path}/rotate", {})
            assert new["webhook"]["rotatesUntil"] is not None
            await call(client, "POST", f"{path}/test")
            await at.until(1)
            for secret in (old["secret"], new["secret"]):
                Webhook(secret).verify(at.got[0].body, at.got[0].headers)
            last = await call(client, "POST", f"{path}/rotate", {"overlap_hours": 0})
            await call(client, "POST", f"{path}/test")
            await at.until(2)
            Webhook(last["secret"]).verify(at.got[1].body, at.got[1].headers)
            assert " " not in at.got[1].headers["webhook-signature"]


async def test_410_switches_off_and_a_delivery_can_be_sent_again(sending: Api) -> None:
    async with receiver(answers=[answer(410)]) as at:
        with sending.client("gone", **ADMIN) as client:
            hook = await call(client, "POST", HOOKS, {"url": at.url})
            path = f"{HOOKS}/{hook['webhook']['id']}"
            await call(client, "POST", f"{path}/test")
            (gone,) = await delivered(client, hook["webhook"]["id"], "failed")
            shown = (await call(client, "GET", path))["webhook"]
            assert (shown["enabled"], shown["disabledBecause"]) == (False, "it answered 410 Gone")
            assert (await call(client, "PATCH", path, {"enabled": True}))["webhook"]["enabled"]
            await call(client, "POST", f"{path}/deliveries/{gone['id']}/resend")
            await at.until(2)
            assert at.got[0].headers["webhook-id"] == at.got[1].headers["webhook-id"]
            assert (await delivered(client, hook["webhook"]["id"]))[0]["status"] == "delivered"


def test_a_url_into_our_own_network_is_refused_when_it_is_registered_and_when_it_is_changed(api: Api) -> None:
    with api.client("guarded", **ADMIN) as client:
        for url in ("https://127.0.0.1/", "https://localhost/", "http://93.184.215.14/", "https://2130706433/", "x"):
            refused = client.post(HOOKS, json={"url": url})
            assert (refused.status_code, refused.json()["field"]) == (422, "url"), url
        hook = client.post(HOOKS, json={"url": "https://93.184.215.14/hook"}).json()["webhook"]
        refused = client.patch(f"{HOOKS}/{hook['id']}", json={"url": "https://[::ffff:10.0.0.1]/"})
        assert refused.status_code == 422
        assert client.get(HOOKS).json()["webhooks"] == [hook]


async def test_an_address_that_became_one_of_ours_is_refused_when_it_is_sent_to(api: Api) -> None:
    with api.client("moved", **ADMIN) as client:
        hook = client.post(HOOKS, json={"url": "https://93.184.215.14/hook"}).json()["webhook"]
        move = text("UPDATE webhook_endpoints SET url = 'https://127.0.0.1/hook' WHERE id = :id")
        api.record(lambda connection: connection.execute(move.bindparams(id=uuid.UUID(hook["id"]))))
        client.post(f"{HOOKS}/{hook['id']}/test")
        (delivery,) = await delivered(client, hook["id"], "pending")
        assert "loopback" in delivery["error"]


@pytest.mark.parametrize("role", ["student", "tutor", "parent", "staff"])
def test_webhooks_are_for_admins(api: Api, role: str) -> None:
    with api.client(role=role, subject="x") as client:
        assert client.get(HOOKS).status_code == 403
        assert client.post(HOOKS, json={"url": "https://93.184.215.14/"}).status_code == 403


def test_a_webhook_of_another_tenant_is_not_there(api: Api) -> None:
    with api.client("mine", **ADMIN) as mine, api.client("theirs", **ADMIN) as theirs:
        path = f"{HOOKS}/{mine.post(HOOKS, json={'url': 'https://93.184.215.14/'}).json()['webhook']['id']}"
        assert theirs.get(HOOKS).json()["webhooks"] == []
        for method, more, body in (
            ("GET", "", None),
            ("PATCH", "", {"enabled": False}),
            ("DELETE", "", None),
            ("POST", "/rotate", {}),
            ("POST", "/test", None),
            ("GET", "/deliveries", None),
            ("POST", f"/deliveries/{uuid.uuid4()}/resend", None),
        ):
            assert theirs.request(method, path + more, json=body).status_code == 404, (method, more)
        assert mine.get(path).json()["webhook"]["enabled"]


def test_bad_bodies_name_their_field(api: Api) -> None:
    with api.client("bad", **ADMIN) as client:
        for body, field in (
            ({}, "url"),
            ({"url": "https://93.184.215.14/", "events": []}, "events"),
            ({"url": "https://93.184.215.14/", "events": ["x"]}, "events.0"),
            ({"url": "https://93.184.215.14/", "secret": "x"}, "secret"),
        ):
            refused = client.post(HOOKS, json=body)
            assert (refused.status_code, refused.json()["field"]) == (422, field)
        assert client.get(f"{HOOKS}/none").status_code == 422


def test_who_changed_a_webhook_and_why_is_recorded_without_its_secret(api: Api) -> None:
    with api.client("audited", **ADMIN) as client:
        made = client.post(HOOKS, params={"reason": "new platform"}, json={"url": "https://93.184.215.14/"}).json()
        path = f"{HOOKS}/{made['webhook']['id']}"
        new = client.post(f"{path}/rotate", json={}, params={"reason": "leaked"}).json()
        client.patch(path, json={"enabled": False})
        client.delete(path)
        assert client.get(HOOKS).json()["webhooks"] == []
    rows = api.record(lambda connection: audit.read(connection, "audited"))
    assert [row.act.action for row in rows] == ["webhook.remove", "webhook.change", "webhook.rotate", "webhook.add"]
    assert {row.act.actor for row in rows} == {"admin:ada"}
    assert [row.act.reason for row in rows] == [None, None, "leaked", "new platform"]
    recorded = json.dumps([row.act.details for row in rows])
    assert made["secret"] not in recorded
    assert new["secret"] not in recorded
