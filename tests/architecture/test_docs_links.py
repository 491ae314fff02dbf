"""What the pages point to is there: files, headings, make targets, tests, environment variables."""

import re
from pathlib import Path
from typing import Final

import pytest
from tests.architecture.repository import ROOT, name_of, pages, python_files, read

from afterbell.settings import ApiSettings, OperatorSettings, RetentionSettings, WorkerSettings
from afterbell.settings.environment import RENAMED

LINK: Final = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING: Final = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
MAKE: Final = re.compile(r"(?:`|^)make ([a-z][a-z-]*)", re.MULTILINE)
TARGET: Final = re.compile(r"^([a-z][a-z-]*):.*##", re.MULTILINE)
TEST: Final = re.compile(r"`(tests/[\w/.-]+\.py)(?:::(test_\w+))?`")
VARIABLE: Final = re.compile(r"\b((?:AFTERBELL|OPENAI)_[A-Z_]*[A-Z])\b")
# Read by the command line and by the tests, not by a process; see docs/reference/cli.md and CONTRIBUTING.md.
OTHER_VARIABLES: Final = frozenset(
    {
        "AFTERBELL_DATA",
        "AFTERBELL_URL",
        "AFTERBELL_TOKEN",
        "AFTERBELL_ADMIN_TOKEN",
        "AFTERBELL_ADMIN_URL",
        "AFTERBELL_WEBHOOK_SECRET",
        "AFTERBELL_TEST_REDIS_URL",
        "AFTERBELL_TEST_DATABASE_URL",
    }
)

each_page = pytest.mark.parametrize("page", pages(), ids=name_of)


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not leads_somewhere(page, link)]
    assert not broken


@each_page
def test_every_make_target_exists(page: Path) -> None:
    targets = set(TARGET.findall(read("Makefile")))
    assert set(MAKE.findall(page.read_text("utf-8"))) <= targets


@each_page
def test_every_test_that_proves_something_exists(page: Path) -> None:
    missing = [
        f"{path}::{test}" if test else path
        for path, test in TEST.findall(page.read_text("utf-8"))
        if not (ROOT / path).is_file() or (test and f"def {test}(" not in read(path))
    ]
    assert not missing


@each_page
def test_every_environment_variable_is_a_setting(page: Path) -> None:
    known = {
        field.alias
        for group in (ApiSettings, WorkerSettings, RetentionSettings, OperatorSettings)
        for field in group.model_fields.values()
    }
    assert set(VARIABLE.findall(page.read_text("utf-8"))) <= known | OTHER_VARIABLES | set(RENAMED)


def test_every_page_of_the_documentation_is_reached_from_its_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    lost = [name_of(page) for page in pages() if page.is_relative_to(index.parent) and page not in {index, *linked}]
    assert not lost


def test_the_variables_read_outside_the_settings_are_read_somewhere() -> None:
    code = "\n".join(path.read_text("utf-8") for path in python_files("services", "tests/support", "benchmarks"))
    assert all(f'"{name}"' in code for name in OTHER_VARIABLES)


def links(page: Path) -> list[str]:
    """The relative links of a page, those in code fences left out."""
    prose = FENCE.sub("", page.read_text("utf-8"))
    targets = [first or second for first, second in LINK.findall(prose)]
    return [link for link in targets if not re.match(r"[a-z]+:", link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    prose = FENCE.sub("", page.read_text("utf-8"))
    plain = (re.sub(r"[`*]", "", heading).lower() for heading in HEADING.findall(prose))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}
