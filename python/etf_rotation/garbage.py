"""Work that leaves no cycles, without the search for them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Run the body without the cyclic collector.

    It looks through millions of small tuples again and again, which takes a fifth to a half of the
    time of a simulation, and finds nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
