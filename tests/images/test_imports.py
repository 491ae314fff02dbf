"""What an argv of the chart may import is in its image; what the images leave out, no module of ours loads."""

import ast
import importlib.util
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from tests.support.chart import PROFILES, containers, pods, rendered
from tests.support.control_plane import PATHS
from tests.support.dockerfile import TARGETS, Image
from tests.support.image_pods import repository
from tools.images import finish

from afterbell.cli.main import app
from afterbell.core.translation import LANGUAGES

OURS: Final = ("afterbell", "afterbell_operator")
# Loaded only where an exporter is named; then its extra must be in the image (`--build-arg OTEL=1`).
OPTIONAL: Final = frozenset({"opentelemetry"})
TRY: Final = """
import importlib, json, sys
failed = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = error.name or str(error)
json.dump(failed, sys.stdout)
"""
LOADED: Final = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
json.dump([module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)], sys.stdout)
"""


def commands_of_the_chart() -> dict[str, set[tuple[str, ...]]]:
    """Target → the words that some profile runs its image with."""
    commands: dict[str, set[tuple[str, ...]]] = {target: set() for target in TARGETS}
    for profile in PROFILES:
        for _, spec in pods(rendered(profile)):
            for each in containers(spec):
                target = repository(each["image"]).removeprefix("afterbell-")
                if target in commands and "command" not in each:
                    commands[target].add(tuple(each["args"]))
    return commands


def callback(words: tuple[str, ...]) -> Any:
    """The function behind a command line."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "get_command"):
            break
        command = command.get_command(None, word)
    return inspect.unwrap(command.callback)


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules of ours that the code imports anywhere, inside functions as well."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        yield from (name for name in names if name.split(".")[0] in OURS and source_of(name))


def source_of(name: str) -> Path | None:
    """The file of a module of ours; None where the name is no module."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def called(function: Any) -> Iterator[ast.AST]:
    """The code of a function, and of those of its own module that it names, and so on."""
    module = ast.parse(inspect.getsource(inspect.getmodule(function) or function))
    known = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    reached, waiting = set[str](), [function.__name__]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        yield known[name]
        waiting += [
            node.id
            for node in ast.walk(known[name])
            if isinstance(node, ast.Name) and node.id in known.keys() - reached
        ]


def may_import(words: tuple[str, ...]) -> set[str]:
    """All modules of ours that a command may come to load."""
    function = callback(words)
    waiting = [name for tree in called(function) for name in imported(tree)]
    modules = {function.__module__}
    while waiting:
        name = waiting.pop()
        if name not in modules:
            modules.add(name)
            path = source_of(name)
            assert path is not None
            waiting += imported(ast.parse(path.read_text("utf-8")))
    return modules


@pytest.mark.network
@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
def test_whatever_a_command_of_an_image_may_import_is_there(images: dict[str, Image], target: str) -> None:
    image = images[target]
    for words in commands_of_the_chart()[target] | {image.words}:
        names = sorted(may_import(words))
        environment = {"PYTHONPATH": str(image.app), "PYTHONDONTWRITEBYTECODE": "1"}
        failed = json.loads(output([str(image.venv / "bin" / "python"), "-c", TRY, *names], environment))
        assert {name: lacks for name, lacks in failed.items() if lacks.split(".")[0] not in OPTIONAL} == {}, words


def test_what_the_images_leave_out_is_loaded_by_nothing_that_they_run() -> None:
    names = {name for commands in commands_of_the_chart().values() for words in commands for name in may_import(words)}
    loaded = {
        Path(path)
        for path in json.loads(output([sys.executable, "-c", LOADED, *sorted(names)], {"PYTHONPATH": ":".join(PATHS)}))
    }
    packages = {path for path in map(Path, sys.path) if path.name == "site-packages"}
    left_out = {path for folder in packages for path in finish.never_loaded(folder)}
    assert len(left_out) > 1000, "the patterns of NEVER_LOADED fit nothing any more"
    assert sorted(loaded & left_out) == []


def test_the_images_know_how_every_language_of_a_report_writes_a_date(tmp_path: Path) -> None:
    assert LANGUAGES.keys() == finish.LANGUAGES
    folder = tmp_path / "babel" / "locale-data"
    folder.mkdir(parents=True)
    for name in ("root", "ar", "pt_BR", "en_001", "ja", "eng_X"):
        (folder / f"{name}.dat").touch()
    assert sorted(path.stem for path in finish.never_loaded(tmp_path)) == ["eng_X", "ja"]


def test_a_shared_object_without_its_debugging_symbols_is_shorter_and_is_still_loaded(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("uvloop.loop")
    assert spec
    assert spec.origin
    whole = Path(spec.origin).read_bytes()
    short = tmp_path / Path(spec.origin).name
    short.write_bytes(finish.without_debugging(whole))
    assert short.stat().st_size < len(whole) / 2
    output([sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", str(short)], {})
    assert finish.without_debugging(short.read_bytes()) == short.read_bytes()
    assert finish.without_debugging(b"no library") == b"no library"


def output(words: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
