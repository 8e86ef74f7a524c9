from etf_rotation import pools, raw


def model(dbt, session):
    """List the raw files; check those of the build one by one."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project(
        "raw_root, sample_root, universe, selected_pools, max_rows_per_file"
    )
    raw_root, sample_root, universe, selected_pools, max_rows = settings.fetchall()[0]
    funds = dbt.ref("etf_pools").project(", ".join(pools.FIELDS)).fetchall()
    weights = dbt.ref("pool_constraints").project("pool, portfolio_weight").fetchall()
    selected = set(selected_pools.split(",")) if selected_pools else set()
    pools.check_seeds(funds, weights, selected)
    return raw.inspect_files(
        raw.resolve_root(raw_root, sample_root),
        pools.Universe.of_seed(funds, selected, takes_all=universe == "all"),
        max_rows=max_rows,
    )
