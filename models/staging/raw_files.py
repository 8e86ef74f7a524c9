from etf_rotation import raw


def model(dbt, session):
    """List the raw files, those of the build looked at one by one."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project("raw_root, sample_root, universe, selected_pools")
    raw_root, sample_root, universe, selected_pools = settings.fetchall()[0]
    funds = dbt.ref("etf_pools").project("symbol, pool").fetchall()
    pools = set(selected_pools.split(",")) if selected_pools else {pool for _, pool in funds}
    return raw.inspect_files(
        raw.resolve_root(raw_root, sample_root),
        wanted={symbol for symbol, pool in funds if pool in pools},
        known={symbol for symbol, _ in funds},
        everything=universe == "all" and (not selected_pools or "MARKET" in pools),
    )
