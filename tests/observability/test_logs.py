"""A log line is an event with a constant name and facts as fields; in production one JSON object."""

import json
import re
import subprocess
import sys

from tests.architecture.repository import name_of, python_files

EMIT = re.compile(r"\blog\.(?:debug|info|warning|error|exception|critical)\(\s*([^,)]*)")
CONSTANT = re.compile(r'"[a-z][a-z0-9_]*"')
SPEAKS = """
import logging, structlog
from afterbell.observability import logs
logs.configure("info", "json")
log = structlog.get_logger("one")
with logs.keeping(job_id="report-1", trace_id="ab"):
    log.info("try_started", worker="w-1")
    try:
        raise ValueError("line one\\nline two \\x1b[2J")
    except ValueError:
        log.exception("try_failed")
    logging.getLogger("sqlalchemy").warning("a library's own %s", "words")
log.debug("unseen")
"""


def test_the_name_of_every_event_is_constant() -> None:
    """So that it can be searched for, counted and alerted on; what differs is a field."""
    events = {name_of(path): EMIT.findall(path.read_text("utf-8")) for path in python_files("services", "operator")}
    assert sum(map(len, events.values())) > 50
    assert {(path, said) for path, names in events.items() for said in names if not CONSTANT.fullmatch(said)} == set()


def test_in_production_every_line_is_a_json_object_also_a_librarys_and_one_with_a_stack() -> None:
    done = subprocess.run([sys.executable, "-c", SPEAKS], capture_output=True, text=True, check=True)
    assert done.stdout == "", "standard output is for results"
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["try_started", "try_failed", "a library's own words"]
    assert all({"timestamp", "level"} <= set(line) for line in lines)
    assert all((line["job_id"], line["trace_id"]) == ("report-1", "ab") for line in lines), "bound once"
    assert "ValueError: line one" in lines[1]["exception"]
    assert "\x1b" not in done.stderr
