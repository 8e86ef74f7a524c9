"""dbt's unit tests, which a build excludes."""

import shutil

from conftest import FAULTS, run_dbt


def test_every_unit_test_of_the_models_passes(sample, tmp_path):
    shutil.copy(sample.database, tmp_path / "etf_rotation.duckdb")
    result = run_dbt(tmp_path, sample.raw_root, "test", "--select", "test_type:unit")
    faults = [f"{r.node.name}: {r.message}" for r in result.result if r.status in FAULTS]
    assert not faults, "\n".join(faults)
    assert len(result.result) >= 30
