"""Imports that are delayed until their first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


class LateModule(ModuleType):
    """Stands in for a module and imports it when one of its names is first used."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def late_imports(*names: str) -> Iterator[None]:
    """Delay imports in a `with` block until the modules are used.

    Parameters
    ----------
    *names : str
        Full names of modules. A module that is already loaded is left alone.
    """
    late = {name: LateModule(name) for name in names if name not in sys.modules}
    sys.modules.update(late)
    try:
        yield
    finally:
        for name, module in late.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
