"""The OpenAPI document is complete: what is served is described, what is described is served."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.support.api import Api, imported

pytestmark = pytest.mark.engines

WITH_BODY = {
    ("put", "/api/sessions/{session_id}"),
    ("post", "/api/sessions/{session_id}/messages"),
    ("post", "/api/webhooks"),
    ("patch", "/api/webhooks/{endpoint_id}"),
    ("post", "/api/webhooks/{endpoint_id}/rotate"),
    ("post", "/api/students/{student_id}/export"),
    ("post", "/api/students/{student_id}/erase"),
}


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    served: dict[str, Any] = httpx2.get(api.url + "/openapi.json").json()
    return served


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_lists_the_whole_public_api(document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, _ in operations(document)} == WITH_BODY | {
        ("post", "/api/reports/session/{session_id}"),
        ("get", "/api/reports/session/{session_id}"),
        ("get", "/api/reports/session/{session_id}/events"),
        ("get", "/api/reports/session/{session_id}/status"),
        ("get", "/api/sessions/{session_id}/messages"),
        ("get", "/api/audit"),
        ("get", "/api/webhooks"),
        ("get", "/api/webhooks/{endpoint_id}"),
        ("delete", "/api/webhooks/{endpoint_id}"),
        ("post", "/api/webhooks/{endpoint_id}/test"),
        ("get", "/api/webhooks/{endpoint_id}/deliveries"),
        ("post", "/api/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend"),
    }
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"]


def test_every_reference_leads_somewhere_and_no_schema_is_left_over(document: dict[str, Any]) -> None:
    used = set(references(document))
    for reference in used:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert schemas <= used


def test_every_operation_has_a_name_a_summary_and_a_description(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for _, path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"], path
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("description"), (path, parameter["name"])


def test_every_operation_asks_for_a_token(document: dict[str, Any]) -> None:
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert not any("security" in operation for _, _, operation in operations(document))


def test_every_success_has_a_schema(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if path.endswith("/events"):
            assert operation["responses"]["200"]["content"] == {"text/event-stream": {"schema": {"type": "string"}}}
            continue
        successes = {status: response for status, response in operation["responses"].items() if status.startswith("2")}
        assert successes, path
        for response in successes.values():
            schema = response["content"]["application/json"]["schema"]
            assert schema.get("$ref", "").startswith("#/components/schemas/"), (method, path)
    page = document["paths"]["/api/reports/session/{session_id}"]["get"]["responses"]["200"]["content"]
    assert page["text/html"] == {"schema": {"type": "string"}}


def test_every_error_is_described_as_the_problem_it_is(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        errors = {
            status: response for status, response in operation["responses"].items() if status.startswith(("4", "5"))
        }
        assert {"401", "403", "404", "422", "500", "503"} <= set(errors), path
        if (method, path) in WITH_BODY:
            assert {"400", "413"} <= set(errors)
        for response in errors.values():
            schema = response["content"]["application/problem+json"]["schema"]
            assert response["content"].keys() == {"application/problem+json"}
            assert schema == {"$ref": "#/components/schemas/ProblemOut"}
            assert "X-Request-Id" in response["headers"]


def test_what_is_answered_has_the_members_that_are_described(api: Api, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    with api.client() as client:
        session = imported(client)
        answers = {
            "ReportRequested": client.post(f"/api/reports/session/{session}"),
            "ReportStatusOut": client.get(f"/api/reports/session/{session}/status"),
            "MessagePage": client.get(f"/api/sessions/{session}/messages"),
            "ProblemOut": client.get("/api/reports/session/none"),
        }
    for name, answer in answers.items():
        schema = schemas[name]
        assert set(schema["required"]) <= answer.json().keys() <= schema["properties"].keys(), name
