from etf_rotation import pools, raw


def model(dbt, session):
    """List the raw files, those of the build looked at one by one."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project("raw_root, sample_root, universe, selected_pools")
    raw_root, sample_root, universe, selected_pools = settings.fetchall()[0]
    funds = dbt.ref("etf_pools").project(", ".join(pools.FIELDS)).fetchall()
    weights = dbt.ref("pool_constraints").project("pool, portfolio_weight").fetchall()
    selected = set(selected_pools.split(",")) if selected_pools else set()
    pools.check_seeds(funds, weights, selected)
    return raw.inspect_files(
        raw.resolve_root(raw_root, sample_root),
        wanted={symbol for symbol, pool, *_ in funds if not selected or pool in selected},
        known={symbol for symbol, *_ in funds},
        everything=universe == "all" and (not selected or "MARKET" in selected),
    )
