with

run as (

    select * from {{ ref('int_run_metadata') }}

),

bars as (

    select
        min(trade_date) as first_date,
        max(trade_date) as last_date,
        count(*) as n,
        string_agg(distinct pool, ',' order by pool) as pools,
        string_agg(distinct adjustment_source, ', ' order by adjustment_source) as sources
    from {{ ref('stg_etf_daily') }}

)

select
    run.engine_version,
    'backward-adjusted (hfq), from ' || bars.sources as price_adjustment,
    cast('{{ run_started_at }}' as timestamptz) as generated_at,
    bars.first_date,
    bars.last_date,
    run.run_parameters,
    run.panel_column_hash,
    bars.pools,
    run.input_fingerprint,
    run.code_version,
    run.code_commit,
    run.is_synthetic,
    run.as_of,
    (select count(*) from {{ ref('raw_rows') }}) as raw_rows,
    bars.n as bars,
    (select count(*) from {{ ref('suspensions') }} where kind <> 'no_row') as suspended_rows,
    (select count(*) from {{ ref('quarantine') }}) as quarantined_rows,
    (select count(*) from {{ ref('factor_panel') }}) as panel_rows
from run
cross join bars
