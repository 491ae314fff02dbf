"""Around every request: its id, its problem where it fails, its time in the metrics; and what each port serves."""

import re
from typing import Any

import httpx2
import pytest
from tests.support.api import Api, fresh_api, imported

from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines

NEW_ID = re.compile(r"[0-9a-f]{32}")


def ask(api: Api, method: str, path: str, **more: Any) -> httpx2.Response:
    with api.client() as client:
        return client.request(method, path, **more)


@pytest.mark.parametrize("request_id", ["a", "Abc-123_x.y", "x" * 64])
def test_a_clean_request_id_comes_back(api: Api, request_id: str) -> None:
    for path in ("/api/reports/session/none/status", "/nowhere"):
        answer = ask(api, "GET", path, headers={"X-Request-Id": request_id})
        assert answer.headers.get_list("x-request-id") == [request_id]
        assert answer.json()["requestId"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 65, "a\tb", "<script>", "a;b", "\u00e9"])
def test_any_other_request_id_is_replaced(api: Api, request_id: str) -> None:
    answer = ask(api, "GET", "/nowhere", headers={"X-Request-Id": request_id.encode()})
    (replaced,) = answer.headers.get_list("x-request-id")
    assert NEW_ID.fullmatch(replaced)
    assert answer.json()["requestId"] == replaced


def test_a_request_without_an_id_gets_one_also_where_it_succeeds(api: Api) -> None:
    with api.client() as client:
        session = imported(client)
        ids = {client.post(f"/api/reports/session/{session}").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(NEW_ID.fullmatch(request_id) for request_id in ids)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/reports", 404, "not_found"),
        ("POST", "/api/reports/session/", 404, "not_found"),
        ("GET", "/api/reports/session/s/status/", 404, "not_found"),
        ("GET", "/api/reports/session/a%2Fb", 404, "not_found"),
        ("DELETE", "/api/sessions/s", 405, "method_not_allowed"),
        ("PATCH", "/api/reports/session/s", 405, "method_not_allowed"),
        ("POST", "/api/reports/session/none", 404, "not_found"),
        ("PUT", "/api/sessions/s", 422, "invalid_input"),
    ],
)
def test_every_error_is_a_problem_with_the_same_members(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = ask(api, method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:afterbell:problem:{code}"
    assert (body["status"], body["code"], body["success"]) == (status, code, False)
    assert body["title"]
    assert body["detail"]
    assert body["requestId"] == answer.headers["x-request-id"]
    if status == 405:
        assert answer.headers["allow"]


def test_health_and_metrics_are_on_the_internal_port_and_not_on_the_public_one(api: Api) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert httpx2.get(api.internal_url + path).status_code == 200
        assert httpx2.get(api.url + path).status_code == 404
    assert httpx2.get(api.internal_url + "/livez").json() == {"status": "ok"}
    facts = httpx2.get(api.internal_url + "/readyz").json()
    assert (facts["ready"], facts["postgresql"], facts["realtime"]) == (True, "ok", "ok")
    for path in ("/api/reports/session/s", "/docs", "/openapi.json"):
        assert httpx2.get(api.internal_url + path).status_code == 404


def test_requests_are_counted_by_route_and_never_by_what_clients_make_up(api: Api) -> None:
    ask(api, "POST", "/api/reports/session/a-name-for-the-metrics")
    ask(api, "GET", "/a-path-for-the-metrics")
    metrics = httpx2.get(api.internal_url + "/metrics").text
    labels = 'method="POST",route="/api/reports/session/{session_id}",status="404"'
    assert f"afterbell_http_request_duration_seconds_count{{{labels}}}" in metrics
    assert "for-the-metrics" not in metrics
    assert 'route="unknown",status="404"' in metrics


def test_production_shows_no_documentation_page(engine_urls: EngineUrls) -> None:
    with fresh_api(engine_urls, app_env="production", host="127.0.0.1") as api:
        assert httpx2.get(api.url + "/docs").status_code == 404
