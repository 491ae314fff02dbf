"""Export, erasure and the audit log over the API."""

import pytest
from tests.support.api import STAFF, STUDENT, Api, imported

pytestmark = pytest.mark.engines
ADMIN = {"role": "admin", "subject": "ada"}
WHY = {"reason": "asked by the family"}


def test_a_student_is_exported_and_erased_and_both_are_recorded(api: Api) -> None:
    with api.client("family", **ADMIN) as client:
        session = imported(client)
        export = client.post("/api/students/p-student/export", json=WHY)
        assert export.headers["cache-control"] == "private, no-store"
        (part,) = export.json()["sessions"]
        assert part["session"]["id"] == session
        assert [message["text"] for message in part["messages"]] == ["The bigger bottom wins?"]
        erased = client.post("/api/students/p-student/erase", json=WHY).json()
        assert (erased["sessions_deleted"], erased["sessions_kept"]) == (1, 0)
        assert client.get(f"/api/sessions/{session}/messages").status_code == 404
        assert client.post("/api/students/p-student/export", json=WHY).json()["sessions"] == []
        acts = client.get("/api/audit", params={"subject": "p-student"}).json()["acts"]
        assert [act["action"] for act in acts] == ["student.export", "student.erase", "student.export"]
        assert {(act["actor"], act["reason"]) for act in acts} == {("admin:ada", WHY["reason"])}


def test_without_a_reason_nothing_is_done(api: Api) -> None:
    with api.client("hasty", **ADMIN) as client:
        session = imported(client)
        for body in ({}, {"reason": ""}, {"reason": " "}, {"reason": "a\0b"}):
            for act in ("export", "erase"):
                refused = client.post(f"/api/students/p-student/{act}", json=body)
                assert (refused.status_code, refused.json()["field"]) == (422, "reason"), body
        assert client.get(f"/api/sessions/{session}/messages").status_code == 200
        assert client.get("/api/audit").json()["acts"] == []


@pytest.mark.parametrize("who", [STAFF, STUDENT])
def test_all_of_it_is_for_admins(api: Api, who: dict[str, str]) -> None:
    with api.client(**who) as client:
        assert client.post("/api/students/p-student/export", json=WHY).status_code == 403
        assert client.post("/api/students/p-student/erase", json=WHY).status_code == 403
        assert client.get("/api/audit").status_code == 403


def test_the_audit_log_pages_and_shows_no_other_tenant(api: Api) -> None:
    with api.client("pages", **ADMIN) as client, api.client("curious", **ADMIN) as other:
        for number in range(5):
            client.post(f"/api/students/s{number}/erase", json=WHY)
        first = client.get("/api/audit", params={"limit": 3}).json()
        assert [act["subject"] for act in first["acts"]] == ["s4", "s3", "s2"]
        rest = client.get("/api/audit", params={"limit": 3, "before": first["nextBefore"]}).json()
        assert [act["subject"] for act in rest["acts"]] == ["s1", "s0"]
        assert rest["nextBefore"] is None
        assert other.get("/api/audit").json()["acts"] == []
