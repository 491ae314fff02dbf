"""A fast start: no garbage collection while modules load, and none of the modules that nobody in the process calls.

Collections at random points of the imports cost a third of the time to start, and find nothing. What is there when the
process is up, some 150,000 objects, lives to the end: walking it would stop all requests for 90 ms now and then, so it
is kept out of every later collection.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def starting(*unused: str) -> Iterator[None]:
    """Collect nothing until ``started``, and again after the block in any case.

    ``unused``: libraries that others take where they are installed, and that this process never calls. Importing one
    raises ModuleNotFoundError inside the block, as it does by Python's rules for a name that is None in sys.modules;
    those that take them go without. One that is imported already stays.
    """
    gc.disable()
    hidden = [name for name in unused if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: there is no such module
    try:
        yield
    finally:
        gc.enable()
        for name in hidden:
            sys.modules.pop(name, None)


def started() -> None:
    """The process is up: what it has loaded is never looked through again, and collections begin."""
    gc.freeze()
    gc.enable()
