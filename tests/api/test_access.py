"""Who gets in: tokens, roles, tenants, taking part."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from tests.support.api import PARENT, SECRET, STAFF, STUDENT, TUTOR, Api, imported, lesson_json, token_for

from afterbell.api.auth.bearer import Unauthenticated, verified

pytestmark = pytest.mark.engines

CLAIMS: dict[str, Any] = {"sub": "boss", "tenant": "school", "role": "staff", "exp": 4_000_000_000}


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, secret, algorithm=algorithm)


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, CLAIMS)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


REFUSED = {
    "none": "",
    "garbage": "not-a-token",
    "garbage in three parts": "a.b.c",
    "unsigned": unsigned(),
    "another secret": signed(SECRET[::-1]),
    "another algorithm": signed(algorithm="HS512"),
    "expired": signed(exp=datetime.now(UTC) - timedelta(minutes=1)),
    "not yet": signed(nbf=4_000_000_000),
    "no sub": signed(sub=None),
    "no exp": signed(exp=None),
    "no tenant": signed(tenant=None),
    "no role": signed(role=None),
    "unknown role": signed(role="god"),
    "list as role": signed(role=["staff"]),
    "number as tenant": signed(tenant=7),
    "empty tenant": signed(tenant=""),
    "endless tenant": signed(tenant="x" * 65),
    "NUL in tenant": signed(tenant="a\0b"),
    "half a pair in sub": signed(sub="\ud800"),
    "text as students": signed(students="p-student"),
}
ROUTES = [
    ("POST", "/api/reports/session/{id}"),
    ("GET", "/api/reports/session/{id}"),
    ("GET", "/api/reports/session/{id}/status"),
    ("PUT", "/api/sessions/{id}"),
    ("POST", "/api/sessions/{id}/messages"),
    ("GET", "/api/sessions/{id}/messages"),
]


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED.keys())
def test_without_a_token_that_holds_nobody_gets_in_and_the_answer_shows_nothing_of_it(api: Api, token: str) -> None:
    with api.client(token=token) as client:
        answer = client.post("/api/reports/session/s")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not token or token not in answer.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_token_is_looked_at_before_anything_else_of_a_request(api: Api, method: str, path: str) -> None:
    with api.client(token="") as client:
        for body in (b"{", b"", b'{"unknown": 1}'):
            answer = client.request(
                method, path.format(id="s"), content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 401


def test_another_scheme_is_no_token(api: Api) -> None:
    for value in ("Basic Ym9zczpwdw==", "Bearer", f"bearer{token_for(**STAFF)}", "Bearer \u00e9\u00e9"):
        answer = httpx2.post(f"{api.url}/api/reports/session/s", headers={"Authorization": value.encode("latin-1")})
        assert answer.status_code == 401, value


@pytest.mark.parametrize(
    ("who", "method", "path", "body"),
    [
        (STUDENT, "POST", "/api/reports/session/s", None),
        (PARENT, "POST", "/api/reports/session/s", None),
        (STUDENT, "PUT", "/api/sessions/s", lesson_json()),
        (PARENT, "PUT", "/api/sessions/s", lesson_json()),
        (PARENT, "GET", "/api/sessions/s/messages", None),
        (PARENT, "POST", "/api/sessions/s/messages", {"text": "hello"}),
    ],
)
def test_the_wrong_role_may_not_and_is_told_so(
    api: Api, who: dict[str, Any], method: str, path: str, body: dict[str, Any] | None
) -> None:
    with api.client(**who) as client:
        answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert who["role"] in answer.json()["detail"]


def test_a_session_of_another_tenant_is_not_there(api: Api) -> None:
    with api.client() as ours, api.client("another-school") as theirs:
        session = imported(ours)
        for method, path in ROUTES:
            if method != "PUT":
                answer = theirs.request(method, path.format(id=session), json={"text": "x", "sender": "p-tutor"})
                assert answer.status_code == 404
        # The same id is a session of their own.
        assert theirs.put(f"/api/sessions/{session}", json=lesson_json()).json()["changed"] is True
        assert ours.put(f"/api/sessions/{session}", json=lesson_json()).json()["changed"] is False


def test_a_tutor_imports_own_sessions_only_and_takes_over_nobody_elses(api: Api) -> None:
    others = lesson_json()["participants"]
    others[0] = others[0] | {"id": "p-another"}
    with api.client() as staff, api.client(**TUTOR) as tutor:
        foreign = imported(staff, participants=others, messages=[])
        assert tutor.put("/api/sessions/new", json=lesson_json(participants=others, messages=[])).status_code == 403
        assert tutor.put(f"/api/sessions/{foreign}", json=lesson_json()).status_code == 404
        assert tutor.get(f"/api/sessions/{foreign}/messages").status_code == 404
        assert tutor.put("/api/sessions/own-one", json=lesson_json()).status_code == 200


def test_a_student_speaks_and_listens_in_own_sessions_as_itself(api: Api) -> None:
    with api.client() as staff, api.client(**STUDENT) as student, api.client(role="student", subject="x") as stranger:
        session = imported(staff)
        path = f"/api/sessions/{session}/messages"
        assert student.get(path).status_code == 200
        assert student.post(path, json={"text": "me"}).json()["sender"] == "p-student"
        assert student.post(path, json={"text": "not me", "sender": "p-tutor"}).status_code == 403
        assert stranger.get(path).status_code == 404
        assert stranger.post(path, json={"text": "hello"}).status_code == 404


def test_an_audience_is_asked_for_where_one_is_set(api: Api) -> None:
    assert verified(signed(aud="afterbell"), SECRET, audience="afterbell").caller.subject == "boss"
    for token in (signed(), signed(aud="another")):
        with pytest.raises(Unauthenticated):
            verified(token, SECRET, audience="afterbell")
