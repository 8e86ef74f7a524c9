"""The examples of docs/queries.md, on the built sample."""

import re

import pytest
from etf_rotation.dbt_project import PROJECT

PAGE = (PROJECT / "docs" / "queries.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^(\d+)\. (.+?)\n\n```sql\n(.+?)```", PAGE, flags=re.DOTALL | re.MULTILINE)
# The synthetic sample has no such factor.
MAY_BE_EMPTY = {"Factors that are not fit for production, with the reasons."}


def test_page_has_twenty_examples_each_with_a_line():
    assert [int(number) for number, _, _ in EXAMPLES] == list(range(1, 21))
    assert PAGE.count("```sql") == len(EXAMPLES)
    assert all("\n" not in line for _, line, _ in EXAMPLES)


@pytest.mark.parametrize(("line", "query"), [(line, query) for _, line, query in EXAMPLES])
def test_example_runs_and_returns_rows(sample, line, query):
    rows = sample.connection.execute(query).fetchall()
    assert rows or line in MAY_BE_EMPTY


def test_equity_adds_up_as_in_the_example(sample):
    query = next(query for number, _, query in EXAMPLES if number == "12")
    assert all(gap < 0.01 for _, gap in sample.connection.execute(query).fetchall())
