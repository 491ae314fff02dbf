"""The internal port: liveness, readiness and metrics. It is never in the Ingress."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest

Readiness = Callable[[], Awaitable[dict[str, Any]]]
Drain = Callable[[], Awaitable[dict[str, Any]]]


def create_internal_app(
    readiness: Readiness, *, drain: Drain | None = None, trouble: Callable[[], str | None] = lambda: None
) -> FastAPI:
    """``readiness`` answers facts; ``ready`` among them decides the status, the others explain it.

    ``drain``, where the process has something to send away, is served at /drain for a preStop hook.
    ``trouble`` names what nothing but a new process mends.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which nothing here reads
    app = FastAPI(title="Afterbell internal", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/livez")
    async def livez() -> JSONResponse:
        """The event loop turns. Depends on no store: a restart heals none."""
        found = trouble()
        return JSONResponse({"status": found or "ok"}, status_code=503 if found else 200)

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        facts = await readiness()
        return JSONResponse(facts, status_code=200 if facts["ready"] else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    if drain is not None:
        # Kubernetes' httpGet hooks can only GET.
        app.get("/drain")(drain)
        app.post("/drain")(drain)
    return app
