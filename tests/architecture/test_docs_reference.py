"""The reference pages say what the code says: settings, dependencies, endpoints, commands, keys, decisions."""

import re
from collections.abc import Iterator
from typing import Any, Final, cast

import pytest
import typer
from starlette.routing import Route
from tests.architecture.repository import ROOT, SERVICES, project, python_files, read, requirements
from tools import settings_table
from typer.core import TyperGroup

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.api.main import create_app
from afterbell.api.services import Services
from afterbell.cli.main import app as command_line
from afterbell.observability.internal_app import create_internal_app
from afterbell.settings import ApiSettings

ENDPOINT: Final = re.compile(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`\s?]*)`")
CODE: Final = re.compile(r"""^    code = "(\w+)"$|problem\(\s*\d+, "(\w+)",""", re.MULTILINE)
DEPENDENCY_ROW: Final = re.compile(r"^\| \[([A-Za-z0-9._-]+)\]\(https://[^)]+\) \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
# As the head of prelude.lua names them: "job:<id> (hash)".
KEY_OF_ONE: Final = re.compile(r"(\w+:<\w+>) \(")
OWN_SECTION: Final = re.compile(r"^## ", re.MULTILINE)
COMMAND: Final = re.compile(r"`([^`]+)`")
ADR_PARTS: Final = ("Context", "Decision", "Consequences", "Alternatives", "Measurement")
DECISIONS: Final = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def test_the_settings_page_is_what_the_code_makes() -> None:
    page = settings_table.PAGE.read_text("utf-8")
    assert settings_table.updated(page) == page, "run `.venv/bin/python tools/settings_table.py`"


def test_every_setting_has_a_variable_and_a_meaning() -> None:
    fields = [field for group in settings_table.GROUPS for field in settings_table.own_fields(group).values()]
    assert all(field.alias and field.description for field in fields)


def test_every_runtime_dependency_has_a_reason_and_a_licence() -> None:
    rows = {name.lower(): (reason, licence) for name, reason, licence in DEPENDENCY_ROW.findall(page("dependencies"))}
    extras = set(project()["optional-dependencies"]) - {"dev"}
    assert set(rows) == requirements().union(*(requirements(extra) for extra in extras))
    assert all(reason.strip() and licence.strip() for reason, licence in rows.values())


def test_every_endpoint_is_on_the_page_and_no_other() -> None:
    assert set(ENDPOINT.findall(page("http-api"))) == set(endpoints())


def test_every_error_code_is_on_the_page() -> None:
    sources = [SERVICES / "afterbell" / "core" / "errors.py", *python_files("services/afterbell/api")]
    codes = {first or second for path in sources for first, second in CODE.findall(path.read_text("utf-8"))}
    to_clients = {code for code in codes if not code.startswith("model_")} - {"invalid_settings"}
    assert {code for code in to_clients if f"`{code}`" not in page("http-api")} == set()


def test_every_command_and_option_is_on_the_page() -> None:
    texts = OWN_SECTION.split(page("cli"))[1:]
    # A command that two groups have is described once.
    sections = {name: text for text in texts for name in COMMAND.findall(text.partition("\n")[0])}
    missing = [
        f"{name} {option}"
        for name, command in commands(typer.main.get_command(command_line), "afterbell")
        for option in ["", *options(command)]
        if option not in sections.get(name, "") or name not in sections
    ]
    assert not missing


def test_every_key_and_script_of_the_queue_is_on_the_page() -> None:
    keys, scripts = QueueKeys("reports"), SERVICES / "afterbell/adapters/queue/scripts"
    names = [key.removeprefix(keys.prefix) for key in keys.script_keys]
    names += KEY_OF_ONE.findall((scripts / "prelude.lua").read_text("utf-8"))
    names += [path.name for path in scripts.glob("*.lua")]
    assert [name for name in names if f"`{name}`" not in page("queue-keys")] == []


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_what_was_decided_why_and_what_else_was_possible(decision: Any) -> None:
    text = decision.read_text("utf-8")
    assert text.startswith(f"# {int(decision.stem[:4])}. ")
    assert [part for part in ADR_PARTS if f"\n## {part}\n" not in text] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.stem[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def page(name: str) -> str:
    return read(f"docs/reference/{name}.md")


def endpoints() -> Iterator[str]:
    """ "METHOD /path" of both ports."""

    async def ready() -> dict[str, Any]:
        return {"ready": True}

    nothing = cast("Any", None)  # building the app touches no store
    for path, methods in create_app(Services(ApiSettings(), *[nothing] * 8)).openapi()["paths"].items():
        yield from (f"{method.upper()} {path}" for method in methods)
    for route in cast("list[Route]", create_internal_app(ready, drain=ready).routes):
        yield from (f"{method} {route.path}" for method in (route.methods or set()) - {"HEAD"})


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name. (typer brings a click of its own.)"""
    if not isinstance(command, TyperGroup):
        if not command.hidden:  # an old name, which only tells the new one
            yield name, command
        return
    context = typer.Context(command)
    for part in command.list_commands(context):
        yield from commands(command.get_command(context, part), f"{name} {part}")


def options(command: Any) -> list[str]:
    return [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
