"""A finished report: as JSON by the reader's role, as a page where HTML is accepted."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from tests.core.reports import report_of
from tests.support.api import PARENT, STAFF, STUDENT, TUTOR, Api, imported

from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.db.reports import stored_report
from afterbell.api.reports.schema import ReportOut
from afterbell.core.report.report import ROLES

pytestmark = pytest.mark.engines

CONCERN = "may be hurt at home"
WHO: dict[str, dict[str, Any]] = {
    "staff": STAFF,
    "admin": STAFF | {"role": "admin"},
    "tutor": TUTOR,
    "student": STUDENT,
    "parent": PARENT,
}


def finished(api: Api, language: str = "en") -> str:
    """A session with a finished report on it, written as a worker writes one."""
    with api.client() as client:
        session = imported(client)
        report_id = uuid.UUID(client.post(f"/api/reports/session/{session}").json()["jobId"][len("report-") :])
    report = replace(report_of(), id=str(report_id), session_id=session, language=language)

    async def finish(connection: Any) -> bool:
        claimed = await reports.claim(connection, report_id, "w")
        assert claimed is not None
        return await reports.finish(connection, claimed, stored_report.dump(report), revision=1)

    assert api.record(finish)
    return session


def read(api: Api, session: str, role: str = "staff", accept: str = "application/json") -> Any:
    with api.client(**WHO[role]) as client:
        return client.get(f"/api/reports/session/{session}", headers={"Accept": accept})


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_its_own_view_as_the_openapi_document_describes_it(api: Api, role: str) -> None:
    answer = read(api, finished(api), role)
    assert answer.status_code == 200
    ReportOut.model_validate_json(answer.content)  # strict about unknown fields
    report = answer.json()["report"]
    assert ("concerns" in report) == (role in ("staff", "admin"))
    assert (CONCERN in answer.text) == (role in ("staff", "admin"))
    assert report["headline"]


def test_a_parent_sees_no_concern_and_no_quote_it_rests_on(api: Api) -> None:
    report = read(api, finished(api), "parent")
    assert "summary" in report.json()["report"]
    for hidden in ("concerns", "provenance", "checks", "metrics", "tutor_note", "My brother hit me"):
        assert hidden not in report.text


@pytest.mark.parametrize("role", ROLES)
def test_a_browser_gets_a_page_that_loads_and_runs_nothing(api: Api, role: str) -> None:
    answer = read(api, finished(api), role, accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!DOCTYPE html>") or answer.text.startswith("<!doctype html>")
    assert (CONCERN in answer.text) == (role in ("staff", "admin"))
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "no-store" in answer.headers["cache-control"]


def test_a_json_report_is_kept_by_no_cache(api: Api) -> None:
    answer = read(api, finished(api))
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["vary"] == "Accept, Accept-Language, Authorization"


def test_asking_for_a_finished_report_says_that_it_is_ready_until_the_session_changes(api: Api) -> None:
    session = finished(api)
    with api.client() as client:
        ready = client.post(f"/api/reports/session/{session}")
        assert (ready.status_code, ready.json()["status"]) == (200, "completed")
        status = client.get(f"/api/reports/session/{session}/status").json()
        assert (status["status"], status["progress"]) == ("completed", 100)
        client.post(f"/api/sessions/{session}/messages", json={"text": "one more", "sender": "p-tutor"})
        again = client.post(f"/api/reports/session/{session}")
        assert (again.status_code, again.json()["status"]) == (202, "queued")
        assert again.json()["jobId"] != ready.json()["jobId"]
        # Until the new one is written, the last finished one is what readers get.
        assert client.get(f"/api/reports/session/{session}").status_code == 200


def test_only_the_child_and_its_parent_read_among_those_outside_of_the_staff(api: Api) -> None:
    session = finished(api)
    strangers: list[dict[str, Any]] = [
        STUDENT | {"subject": "p-other"},
        TUTOR | {"subject": "p-other"},
        PARENT | {"students": ("p-other",)},
        PARENT | {"students": ()},
        PARENT | {"subject": "p-student", "students": ()},
    ]
    for who in strangers:
        with api.client(**who) as client:
            for path in (f"/api/reports/session/{session}", f"/api/reports/session/{session}/status"):
                assert client.get(path).status_code == 404, who
    with api.client("another-school") as client:
        assert client.get(f"/api/reports/session/{session}").status_code == 404
        assert client.post(f"/api/reports/session/{session}").status_code == 404


def test_a_fault_of_ours_is_a_problem_with_an_id_and_shows_nothing_of_it(api: Api) -> None:
    session = finished(api)
    broken = text("UPDATE reports SET content = '{}' WHERE session_id = :id").bindparams(id=session)
    api.record(lambda connection: connection.execute(broken))
    answer = read(api, session)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal"
    assert answer.json()["requestId"] == answer.headers["x-request-id"]
    assert "validation" not in answer.text


def page(api: Api, session: str, query: str = "", **headers: str) -> Any:
    with api.client(**PARENT) as client:
        return client.get(f"/api/reports/session/{session}{query}", headers={"Accept": "text/html", **headers})


def test_a_page_is_labelled_in_the_reports_language_or_in_the_one_asked_for(api: Api) -> None:
    german = finished(api, "de")
    for query, wishes, language in (("", "fr", "de"), ("?language=ar", "fr", "ar"), ("?language=pt-BR", "", "pt-BR")):
        answer = page(api, german, query, **{"Accept-Language": wishes})
        assert answer.headers["content-language"] == language
        assert f'<html lang="{language}"' in answer.text
    assert "Accept-Language" in answer.headers["vary"]


def test_where_the_reports_language_has_no_labels_the_readers_browser_decides(api: Api) -> None:
    japanese = finished(api, "ja")
    assert '<html lang="tr"' in page(api, japanese, **{"Accept-Language": "ja,tr;q=0.5"}).text
    answer = page(api, japanese, **{"Accept-Language": "ja"})
    assert '<html lang="en"' in answer.text
    assert '<p class="summary" lang="ja" dir="ltr">' in answer.text


def test_labels_in_a_language_that_is_not_there_are_refused_by_name(api: Api) -> None:
    answer = page(api, "any", "?language=ja")
    assert (answer.status_code, answer.json()["field"]) == (422, "language")
    assert "'ja'" in answer.json()["detail"]
    assert "tr (Turkish)" in answer.json()["detail"]
