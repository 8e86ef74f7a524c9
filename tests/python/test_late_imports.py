"""Modules that Great Expectations imports are loaded when they are used."""

import subprocess
import sys

from etf_rotation import dbt_project

CODE = """
import sys

from etf_rotation.late_imports import late_imports

with late_imports("colorsys", "json.tool"):
    import colorsys
    from json import tool
assert "colorsys" not in sys.modules and "json.tool" not in sys.modules
{body}
"""


def run(body):
    source = CODE.format(body=body)
    environment = {"PYTHONPATH": str(dbt_project.PROJECT / "python")}
    done = subprocess.run(
        [sys.executable, "-c", source],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_late_module_is_loaded_on_its_first_use():
    run(
        "assert colorsys.rgb_to_hsv(1, 0, 0) == (0.0, 1.0, 1.0)\n"
        "assert 'colorsys' in sys.modules\n"
        "assert callable(tool.main) and 'json.tool' in sys.modules"
    )


def test_other_code_imports_the_module_itself_afterwards():
    run("import colorsys as real\nassert real is not colorsys and hasattr(real, '__file__')")


def test_a_loaded_module_stays_as_it_is():
    run(
        "import colorsys as real\n"
        "with late_imports('colorsys'):\n"
        "    import colorsys as again\n"
        "assert again is real and sys.modules['colorsys'] is real"
    )


def test_great_expectations_runs_without_the_modules_for_distributions():
    run(
        "from etf_rotation.gate import expectations\n"
        "assert len(expectations.raw_suites()) == 2\n"
        "assert 'scipy.stats' not in sys.modules and 'altair' not in sys.modules\n"
        "import great_expectations.expectations.core."
        "expect_column_kl_divergence_to_be_less_than as kl\n"
        "assert kl.stats.norm.cdf(0) == 0.5 and kl.alt.Chart.__name__ == 'Chart'"
    )
