"""What services/Dockerfile says, without an engine to read it."""

import re
from typing import Final

import pytest
from tests.support.control_plane import ROOT
from tests.support.dockerfile import DOCKERFILE, PRODUCTION, TARGETS, environment_of, instructions, stages

COPIED: Final = re.compile(r"^(?!--from)(\S.*) \S+$")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_ends_on_sigterm_and_says_where_it_is_from(target: str) -> None:
    assert instructions(target, "USER")[-1] == "10001:10001"
    assert instructions(target, "STOPSIGNAL")[-1] == "SIGTERM"
    assert instructions(target, "ENTRYPOINT")[-1] == '["python", "-m", "afterbell"]'
    assert instructions(target, "CMD")[-1].startswith('["')
    labels = instructions(target, "LABEL")[-1]
    assert all(f"org.opencontainers.image.{name}=" in labels for name in ("title", "source", "licenses", "revision"))
    assert environment_of(target)["PYTHONDONTWRITEBYTECODE"] == "1"


def test_every_stage_starts_from_one_pinned_base_and_nothing_is_fetched_but_hashed_packages() -> None:
    bases = {inside[0][1] for inside in stages().values()} - stages().keys()
    assert bases == {"${PYTHON}"}
    assert re.search(r"^ARG PYTHON=\S+:\d+\.\d+-slim-\w+$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    runs = [rest for name in stages() for rest in instructions(name, "RUN")]
    assert [run for run in runs if re.search(r"\b(curl|wget|apt|apt-get|git)\b", run)] == []
    assert all("--require-hashes" in run for run in runs if "install" in run)
    assert not any(instructions(name, "ADD") for name in stages())


def test_what_is_copied_is_there_and_is_let_through_to_the_builder() -> None:
    copied = {
        word
        for name in stages()
        for rest in instructions(name, "COPY")
        if (copy := COPIED.match(rest))
        for word in copy[1].split()
    }
    assert [path for path in copied if not (ROOT / path).exists()] == []
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{re.sub(r'[^/]+[.]txt$', '*.txt', path)}" for path in copied} == {
        line for line in allowed if line.startswith("!")
    }


@pytest.mark.parametrize("target", PRODUCTION)
def test_every_install_takes_settings_of_pip_by_secret_and_opentelemetry_by_argument(target: str) -> None:
    (install,) = [run for run in instructions(f"build-{target}", "RUN") if "pip --python" in run]
    assert "--mount=type=secret,id=pip,target=/etc/pip.conf" in install
    assert "--mount=type=secret,id=certificates" in install
    assert f"-r {target}.txt ${{OTEL:+-r otel.txt}}" in install
