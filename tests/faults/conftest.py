"""Servers to break, and the table of what became of the jobs: ``--ledger PATH`` writes it."""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.faults.ledger import COLUMNS
from tests.faults.links import Link
from tests.faults.rig import Rig, rig
from tests.faults.servers import ProxyServer, TcpPostgres, TcpValkey
from tests.support.engines import require_wheels
from tests.support.processes import ROOT

ENVIRONMENT = os.environ  # noqa: TID251 - CI and a tool elsewhere are told by it
TOXIPROXY = ROOT / ".tools" / "toxiproxy-server"
_rows: list[dict[str, str]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ledger", help="write the ledger of the fault cases to this Markdown file")


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """Short and enterable for the account PostgreSQL runs as."""
    path = Path(tempfile.mkdtemp(prefix="afterbell-faults-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[TcpPostgres]:
    require_wheels("postgres")
    server = TcpPostgres(home)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(home: Path) -> Iterator[TcpValkey]:
    yield from _fresh_valkey(home)


@pytest.fixture
def empty_valkey(home: Path) -> Iterator[TcpValkey]:
    """A second one."""
    yield from _fresh_valkey(home)


def _fresh_valkey(home: Path) -> Iterator[TcpValkey]:
    require_wheels("valkey")
    server = TcpValkey(home / uuid.uuid4().hex[:8])
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.home, ignore_errors=True)


@pytest.fixture(scope="session")
def proxy(home: Path) -> Iterator[ProxyServer]:
    program = Path(ENVIRONMENT.get("AFTERBELL_TEST_TOXIPROXY", str(TOXIPROXY)))
    if not program.exists():
        missing = f"no fault proxy at {program}: run `make tools` (needs Go 1.24 or newer)"
        if ENVIRONMENT.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    server = ProxyServer(home, program)
    server.start()
    yield server
    server.stop()


class Faults:
    """Runs one case: the block breaks something, then every promise is checked and the ledger gets its row."""

    def __init__(self, request: pytest.FixtureRequest, valkey: TcpValkey, postgres: TcpPostgres) -> None:
        self._request, self._valkey, self._postgres = request, valkey, postgres

    @asynccontextmanager
    async def __call__(self, broken: str, *, wires: tuple[str, ...] = (), **settings: Any) -> AsyncIterator[Rig]:
        links = {}
        if wires:
            control_url = self._request.getfixturevalue("proxy").url
            links = {name: Link(control_url, f"{name}-{uuid.uuid4().hex[:8]}") for name in wires}
        async with (
            self._postgres.fresh_database() as database,
            rig(self._valkey, self._postgres, database, links, **settings) as up,
        ):
            yield up
            ledger = await up.ledger()
            self._add(ledger.row(self._case, broken))
            assert not ledger.faults, "\n".join([*ledger.faults, up.said()])

    @property
    def _case(self) -> str:
        return self._request.node.name.removeprefix("test_").replace("_", " ")

    def _add(self, row: dict[str, str]) -> None:
        self._request.node.user_properties.append(("ledger", json.dumps(row)))

    def note(
        self, broken: str, *, enqueued: int, completed: int, starts: int, doubled: int, why: str, recovered_s: float
    ) -> None:
        """The row of a case that works on the queue alone and has checked everything itself."""
        values = (
            self._case,
            broken,
            enqueued,
            completed,
            0,
            0,
            starts,
            doubled,
            why,
            0,
            0,
            enqueued - completed,
            f"{recovered_s:.1f} s",
        )
        self._add(dict(zip(COLUMNS, map(str, values), strict=True)))


@pytest.fixture
def faults(request: pytest.FixtureRequest, valkey: TcpValkey, postgres: TcpPostgres) -> Faults:
    return Faults(request, valkey, postgres)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        _rows.extend(json.loads(str(value)) for name, value in report.user_properties if name == "ledger")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if _rows:
        terminalreporter.section("ledger of the fault cases")
        for row in sorted(_rows, key=lambda entry: entry["case"]):
            terminalreporter.write_line(
                f"{row['case']}: enqueued {row['enqueued']} = completed {row['completed']} + dead {row['dead']} + "
                f"cancelled {row['cancelled']}; starts {row['starts']}, doubled {row['doubled']}, lost {row['lost']}; "
                f"recovered in {row['recovered in']}"
            )
    path = config.getoption("--ledger")
    if path and _rows:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(_markdown(_rows), "utf-8")


def _markdown(rows: list[dict[str, str]]) -> str:
    lines = [
        "# Ledger of the fault cases",
        "",
        "Written by `make test-faults`, which breaks each part on real processes, engines and wires. After each case:",
        "enqueued = completed + dead + cancelled, one report a session, no lease, waiting job or unfinished row left.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
    ]
    lines += [
        "| " + " | ".join(row[name] for name in COLUMNS) + " |" for row in sorted(rows, key=lambda entry: entry["case"])
    ]
    return "\n".join(lines) + "\n"
