"""Finish a virtual environment for an image: ``python finish.py VENV``. Runs in the builder, on the standard library.

It takes out what no process loads, then compiles the rest. The same packages give the same bytes every time.
"""

import compileall
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

# Below site-packages. tests/images/test_imports.py fails where a module of ours loads one of them.
# The Kubernetes client has a class for every kind there is, and loads each when it is first named. We name none, and
# kopf three, to know its users' objects by them.
NEVER_LOADED: Final = (
    "kubernetes/client/api/*_api.py",
    "kubernetes/client/models/*_*.py",
    "kubernetes/aio/client/api/*_api.py",
    "kubernetes/aio/client/models/*_*.py",
    "babel/locale-data/*.dat",
)
KEPT: Final = frozenset({"__init__.py", "v1_managed_fields_entry.py", "v1_object_meta.py", "v1_owner_reference.py"})

# Babel knows how a thousand locales write a date; reports are written in nine languages, whatever the country.
LANGUAGES: Final = frozenset({"ar", "de", "en", "es", "fr", "hi", "pt", "tr", "zh"})
_LOCALES: Final = LANGUAGES | {"root"}

_ELF_64: Final = b"\x7fELF\x02"
_HEADERS_AT, _SECTIONS_AT, _HEADER_SIZE_AT, _SECTION_COUNT_AT = 32, 40, 54, 58


def never_loaded(packages: Path) -> Iterator[Path]:
    """The files of a site-packages folder that NEVER_LOADED names."""
    for pattern in NEVER_LOADED:
        yield from (path for path in sorted(packages.glob(pattern)) if not _is_kept(path))


def _is_kept(path: Path) -> bool:
    if path.suffix == ".dat":
        return path.stem.partition("_")[0] in _LOCALES
    return path.name in KEPT


def without_debugging(library: bytes) -> bytes:
    """A shared object up to the end of what the loader maps.

    Symbols for debuggers come after that, and so do the section headers, which the loader does not read. Anything
    but a 64-bit ELF file is returned as it is.
    """
    if not library.startswith(_ELF_64):
        return library
    (first,) = struct.unpack_from("<Q", library, _HEADERS_AT)
    size, count = struct.unpack_from("<HH", library, _HEADER_SIZE_AT)
    end = first + size * count
    for at in range(first, end, size):
        _, _, offset, _, _, in_file = struct.unpack_from("<IIQQQQ", library, at)
        end = max(end, offset + in_file)
    kept = bytearray(library[:end])
    struct.pack_into("<Q", kept, _SECTIONS_AT, 0)
    struct.pack_into("<HHH", kept, _SECTION_COUNT_AT, 0, 0, 0)
    return bytes(kept)


def finish(venv: Path) -> None:
    """Prune, shorten and compile the packages of a virtual environment."""
    (packages,) = venv.glob("lib/python3*/site-packages")
    for path in never_loaded(packages):
        path.unlink()
    for folder in sorted(packages.rglob("__pycache__")):
        shutil.rmtree(folder)
    for path in packages.rglob("*.so*"):
        path.write_bytes(without_debugging(path.read_bytes()))
    # Nobody edits these files: their compiled form is never compared with them, and holds no time.
    done = compileall.compile_dir(
        packages, quiet=2, stripdir=str(venv), invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    if not done:
        sys.stderr.write("some packages hold files of other versions of Python; they stay as they are\n")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # noqa: TID251 - sets are compiled in the order of their hashes
        sys.exit("run it with PYTHONHASHSEED=0: else the compiled files differ from one build to the next")
    finish(Path(sys.argv[1]))
