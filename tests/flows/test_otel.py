"""Spans as an OpenTelemetry collector gets them, by OTLP over HTTP, from the real api and a worker process."""

import gzip
import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.command import environment_of
from tests.support.platform import a_session, platform, worker_process

from afterbell.core.errors import SettingsError
from afterbell.observability import spans
from afterbell.observability.export import exporting
from afterbell.settings import TelemetrySettings

pytestmark = pytest.mark.engines
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(http.server.ThreadingHTTPServer):
    """Takes what is exported and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[tuple[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Taking(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        server: Any = self.server
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {attribute.key: attribute.value.string_value for attribute in each.resource.attributes}[
                "service.name"
            ]
            server.taken += [(service, span) for scope in each.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_collector_sees_one_tree_from_the_request_to_the_model(
    redis_url: str, database_url: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)

    async with platform(redis_url, database_url, workers=0) as up, worker_process(up.settings) as worker:
        await up.import_session(a_session("given"))
        with exporting(TelemetrySettings(), "afterbell-api"):
            header = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            await up.http.post("/api/reports/session/given", headers=header)
            await up.until("given", "completed")
        worker.send(signal.SIGTERM)
        await worker.ended()
        (call,) = await up.model_requests()
    ours = {span.name: (service, span) for service, span in collector.taken if span.trace_id.hex() == TRACE}
    parents = {name: span.parent_span_id.hex() for name, (_, span) in ours.items()}
    ids = {name: span.span_id.hex() for name, (_, span) in ours.items()}
    request, (model,) = "POST /api/reports/session/{session_id}", [name for name in ours if name.startswith("model ")]
    assert parents == {request: CALLER, "wait in the queue": ids[request], "try": ids[request], model: ids["try"]}
    assert call["traceparent"] == f"00-{TRACE}-{ids[model]}-01"
    assert {name: service for name, (service, _) in ours.items()} == {
        request: "afterbell-api",
        "wait in the queue": "afterbell-worker",
        "try": "afterbell-worker",
        model: "afterbell-worker",
    }
    times = [ours[name][1] for name in (request, "wait in the queue", "try", model)]
    assert all(0 < span.start_time_unix_nano <= span.end_time_unix_nano for span in times)
    attributes = {attribute.key: attribute.value.string_value for attribute in ours["try"][1].attributes}
    assert attributes["afterbell.outcome"] == "done"


def test_no_exporter_is_imported_where_no_collector_is_named() -> None:
    # FastAPI takes in the API and the SDK by itself where they are installed.
    look = """import sys, afterbell.api.main, afterbell.worker.main
print([name for name in sys.modules if name.endswith(".otel") or "exporter" in name])"""
    done = subprocess.run(
        [sys.executable, "-c", look], env=environment_of(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize("given", [{}, {"otlp_endpoint": "http://127.0.0.1:1", "otel_disabled": True}])
def test_nothing_is_sent_where_no_collector_is_named_or_it_is_switched_off(given: dict[str, Any]) -> None:
    with exporting(TelemetrySettings(**given), "afterbell-api"):
        assert spans._sinks == []


def test_a_collector_without_the_extra_is_a_setting_that_cannot_be_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.delitem(sys.modules, "afterbell.observability.otel", raising=False)
    settings = TelemetrySettings(otlp_endpoint="http://127.0.0.1:1")
    with (
        pytest.raises(SettingsError, match=r"pip install 'afterbell\[otel\]'"),
        exporting(settings, "afterbell-api"),
    ):
        pass
