"""The plugin that dbt-duckdb loads when it opens the database of a build."""

from __future__ import annotations

import gc

from dbt.adapters.duckdb.plugins import BasePlugin


class Plugin(BasePlugin):
    """Stops the cyclic garbage collector for the rest of the process.

    dbt holds millions of small objects until it ends. The collector scans all of them
    again and again: that is a tenth of a build's CPU time, and it frees only about 50
    MB. `dbt_project.invoke` starts the collector again after the build.
    """

    def initialize(self, plugin_config: dict) -> None:
        """Stop the collector."""
        gc.disable()
