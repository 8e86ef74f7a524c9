"""The walk of every strategy against one that was written from the specification alone."""

import os
from pathlib import Path

import pytest
from conftest import PROJECT, build
from reference_comparison import differences

REAL_DATA = Path(os.environ.get("ETF_REAL_DATA") or PROJECT.parent / "shared" / "data" / "pools")
TABLES = ("selection_log", "target_weights", "rebalances", "trades", "rejected_orders")
ONLY_THE_WALK = ["--select", *(f"+{table}" for table in (*TABLES, "tranches_daily", "suspensions"))]
ONLY_THE_WALK += ["--exclude-resource-type", "test", "unit_test"]


def test_the_sample_is_walked_as_the_specification_says(sample):
    faults, compared = differences(sample.database)
    assert faults[:5] == []
    assert all(compared.values())


def test_the_real_pools_are_walked_as_the_specification_says(tmp_path):
    if not REAL_DATA.is_dir():
        pytest.skip(f"real data is not at {REAL_DATA}: set ETF_REAL_DATA to compare with it")
    faults, compared = differences(build(tmp_path, REAL_DATA, *ONLY_THE_WALK))
    assert faults[:5] == []
    assert compared["trades"] > 10_000
