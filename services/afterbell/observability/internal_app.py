"""The internal port: liveness, readiness and metrics. It is never in the Ingress."""

from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from afterbell.service import failed_services

Readiness = Callable[[], Awaitable[dict[str, Any]]]
Drain = Callable[[], Awaitable[dict[str, Any]]]


def create_internal_app(
    readiness: Readiness, *, drain: Drain | None = None, trouble: Callable[[], str | None] = lambda: None
) -> Starlette:
    """``readiness`` answers facts; ``ready`` among them decides the status, the others explain it. A process in which
    a background service has ended by itself is not ready, and names it.

    ``drain``, where the process has something to send away, is served at /drain for a preStop hook.
    ``trouble`` names what nothing but a new process mends.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which nothing here reads

    async def livez(_: Request) -> Response:
        """The event loop turns. Depends on no store: a restart heals none."""
        problem = trouble()
        return JSONResponse({"status": problem or "ok"}, status_code=503 if problem else 200)

    async def readyz(_: Request) -> Response:
        facts = await readiness()
        if ended := failed_services():
            facts |= {"ready": False, "failed_services": ended}
        return JSONResponse(facts, status_code=200 if facts["ready"] else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    if drain is not None:

        async def drained(_: Request) -> Response:
            return JSONResponse(await drain())

        # Kubernetes' httpGet hooks can only GET.
        routes.append(Route("/drain", drained, methods=["GET", "POST"]))
    return Starlette(routes=routes)
