"""The garbage collector is off during a build and on again after it."""

import gc

from conftest import run_dbt


def test_the_garbage_collector_stands_still_during_a_build_only(tmp_path):
    seen = {}

    def note(event):
        if event.info.name in ("MainReportVersion", "NodeFinished"):
            seen[event.info.name] = gc.isenabled()

    result = run_dbt(tmp_path, tmp_path, "seed", "--select", "price_limits", callbacks=[note])
    assert result.success and gc.isenabled()
    assert seen == {"MainReportVersion": False, "NodeFinished": False}
