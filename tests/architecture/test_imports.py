"""What a process loads: memory is paid for by every pod, and an idle one is little else than its imports."""

import json
import subprocess
import sys
from typing import Final

import pytest
from tests.architecture.repository import SERVICES
from tests.architecture.test_requirements import pins

# Each is another process's, or is loaded when the first request needs it.
NOT_LOADED: Final = {
    "api": {
        "afterbell.adapters.models",
        "afterbell.adapters.queue.taskiq_broker",
        "afterbell.cli.admin.commands",
        "afterbell.dev",
        "afterbell.worker",
        "alembic",
        "httpx2",
        "jinja2",
        "openai",
        "rich.live",
        "sqlalchemy.dialects.mysql",
        "sqlalchemy.dialects.sqlite",
        "taskiq",
        "yaml",
    },
    "worker": {
        "afterbell.api",
        "afterbell.cli.admin.commands",
        "afterbell.dev",
        "afterbell.realtime",
        "alembic",
        "cryptography.x509",
        "jinja2",
        "jwt",
        "socketio",
        "sqlalchemy.dialects.mysql",
        "sqlalchemy.dialects.sqlite",
    },
}
LOADED: Final = """
import json, sys
import afterbell.cli.main, afterbell.observability.logs, afterbell.{process}.main
print(json.dumps(list(sys.modules)))
"""


@pytest.mark.parametrize("process", NOT_LOADED)
def test_a_process_loads_only_what_it_serves_with(process: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(process=process)],
        env={"PYTHONPATH": str(SERVICES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not NOT_LOADED[process] & set(json.loads(done.stdout))


def test_what_socketio_takes_in_where_it_finds_it_is_not_in_the_image_of_the_api() -> None:
    assert not {"aiohttp", "requests", "valkey", "taskiq", "openai"} & set(pins("api"))
