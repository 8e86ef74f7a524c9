from pathlib import Path

from etf_rotation.staging import raw_files, seed_checks, strategy_checks


def model(dbt, session):
    """List the raw files; check those of the build one by one."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project(
        "raw_root, sample_root, universe, selected_pools, max_rows_per_file, project_dir"
    )
    row = settings.fetchall()[0]
    raw_root, sample_root, universe, selected_pools, max_rows, project_dir = row
    funds = dbt.ref("etf_pools").project(", ".join(seed_checks.FIELDS)).fetchall()
    weights = dbt.ref("pool_constraints").project("pool, portfolio_weight").fetchall()
    selected = set(selected_pools.split(",")) if selected_pools else set()
    seed_checks.check_seeds(funds, weights, selected)
    strategies = dbt.ref("strategies").project(", ".join(strategy_checks.Row._fields)).fetchall()
    strategy_checks.check_strategies(
        [strategy_checks.Row(*row) for row in strategies],
        pools={pool for pool, _ in weights},
        rankings={path.stem for path in Path(project_dir, "models", "strategies").glob("*.sql")},
    )
    return raw_files.inspect_files(
        raw_files.resolve_root(raw_root, sample_root),
        seed_checks.Universe.of_seed(funds, selected, takes_all=universe == "all"),
        max_rows=max_rows,
    )
