"""What dbt-duckdb calls when it opens the database of a build."""

from __future__ import annotations

import gc

from dbt.adapters.duckdb.plugins import BasePlugin


class Plugin(BasePlugin):
    """Stops the cyclic garbage collector for the rest of the process.

    dbt holds millions of small objects until it ends. The collector searches all of them again and
    again, a tenth of the CPU time of a build, and frees some 50 MB. A process that goes on after
    its build starts the collector again (`dbt_project.invoke`).
    """

    def initialize(self, plugin_config: dict) -> None:
        """Stop the collector."""
        gc.disable()
