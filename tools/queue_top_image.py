#!/usr/bin/env python3
"""Draw docs/images/queue-top.svg: `afterbell queue top` while two workers write the reports of three tenants.

    PYTHONPATH=.:services .venv/bin/python -m tools.queue_top_image

Everything runs for real: private engines, the api, two workers and the bundled stub, with made-up prices. It takes
about four minutes, and waits for a moment at which the limiter holds jobs back, so that a reason is shown.
"""

import asyncio
import json
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.api import running_api
from benchmarks.servers import await_port, process
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from tests.support.ports import free_port
from tests.support.processes import AFTERBELL

from afterbell.api.admin.admin_tokens import mint_admin
from afterbell.api.auth.bearer import mint
from afterbell.cli.admin.admin_client import AdminClient
from afterbell.cli.admin.top import frame, looked
from afterbell.cli.api_client import ApiClient
from afterbell.cli.session_files import read_sessions
from afterbell.dev.engines.engines import engines
from afterbell.settings.auth import DEVELOPMENT_SECRET

IMAGE: Final = Path(__file__).parents[1] / "docs" / "images" / "queue-top.svg"
COLUMNS: Final = 104
TENANTS: Final = ("school-a", "school-b", "school-c")
REPORTS_A_TENANT: Final = 12
PATIENCE_S: Final = 240.0
TOKEN_LIFETIME: Final = timedelta(hours=1)
PRICES: Final = {
    "version": "image",
    "unit": "US dollars a million tokens",
    "source": "made up for a picture: the stub costs nothing",
    "models": [{"model": "afterbell-stub", "input": 0.1, "output": 0.5}],
}
LIMITER: Final = {"AFTERBELL_STARTS_PER_WINDOW": "3", "AFTERBELL_STARTS_WINDOW_SECONDS": "8"}
WORKER: Final = {
    "AFTERBELL_WORKER_CONCURRENCY": "4",
    "OPENAI_API_KEY": "stub",
    "AFTERBELL_MODEL": "afterbell-stub",
}


@contextmanager
def fleet(folder: Path) -> Iterator[tuple[str, str]]:
    """The addresses of the api and of its internal port, with two workers behind them."""
    prices = folder / "prices.json"
    prices.write_text(json.dumps(PRICES), "utf-8")
    with engines(folder / "data") as urls, ExitStack() as stack:
        database_url, redis_url = urls.database_url or "", urls.redis_url or ""
        port, internal_port, _ = stack.enter_context(running_api(database_url, redis_url, folder, **LIMITER))
        stub_port, log = free_port(), folder / "stub.log"
        stub = ("llm-stub", "--port", str(stub_port), "--pace", "real")
        stack.enter_context(process(*AFTERBELL, *stub, log=log))
        await_port(stub_port, log)
        for number in (1, 2):
            variables = LIMITER | WORKER
            variables |= {
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "OPENAI_BASE_URL": f"http://127.0.0.1:{stub_port}/v1",
                "AFTERBELL_PRICES": str(prices),
                "AFTERBELL_WORKER_NAME": f"worker-{number}",
                "AFTERBELL_INTERNAL_PORT": str(free_port()),
            }
            stack.enter_context(process(*AFTERBELL, "worker", log=folder / f"worker-{number}.log", **variables))
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{internal_port}"


async def request_reports(url: str, tenant: str) -> None:
    """Import the example lesson several times for a tenant and request the reports."""
    token = mint(
        DEVELOPMENT_SECRET, subject="image", tenant=tenant, role="staff", now=datetime.now(UTC), lifetime=TOKEN_LIFETIME
    )
    (lesson,) = read_sessions(None)
    async with ApiClient(url, token) as client:
        for number in range(REPORTS_A_TENANT):
            await client.import_session(lesson | {"id": f"lesson-{number}"})
            await client.request_report(f"lesson-{number}")


async def snapshot_of(internal_url: str) -> dict[str, Any]:
    """What the screen shows once the limiter holds jobs back. Raises TimeoutError if it never does."""
    admin = mint_admin(
        DEVELOPMENT_SECRET, subject="image", role="viewer", now=datetime.now(UTC), lifetime=TOKEN_LIFETIME
    )
    deadline = time.monotonic() + PATIENCE_S
    async with AdminClient(internal_url, admin) as client:
        while time.monotonic() < deadline:
            snapshot = await looked(client)
            if is_telling(snapshot):
                return snapshot
            await asyncio.sleep(1)
    raise TimeoutError(f"the limiter held no job back within {PATIENCE_S:.0f} s")


def is_telling(snapshot: dict[str, Any]) -> bool:
    """Whether every part of the screen has something to show: finished reports, a reason to wait, jobs far and near."""
    written = snapshot["status"]["jobs"].get("succeeded", 0)
    progress = {job["progress"] for job in snapshot["jobs"]}
    return snapshot["why"]["cause"] == "limiter" and written >= 12 and len(progress) >= 3 and max(progress) >= 50


def draw(snapshot: dict[str, Any]) -> None:
    """Write the image, with the reader's own font: a page that is read offline fetches none."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(frame(snapshot, datetime.now(UTC), COLUMNS))
    code_format = re.sub(r"@font-face {{.*?}}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    code_format = code_format.replace("Fira Code", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono'")
    IMAGE.write_text(console.export_svg(title="afterbell queue top", code_format=code_format), "utf-8")


async def shown(url: str, internal_url: str) -> dict[str, Any]:
    """Ask for the reports of all tenants, then wait for a moment worth showing."""
    for tenant in TENANTS:
        await request_reports(url, tenant)
    return await snapshot_of(internal_url)


def main() -> None:
    """Run everything, draw, and stop everything."""
    with tempfile.TemporaryDirectory(prefix="queue-top-") as name, fleet(Path(name)) as (url, internal_url):
        draw(asyncio.run(shown(url, internal_url)))


if __name__ == "__main__":
    main()
