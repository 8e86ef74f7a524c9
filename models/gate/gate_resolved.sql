-- Findings that only the published build has, for checks that exist in both builds.

with

findings as (

    select * from {{ ref('int_gate_findings') }}

),

checks as (

    select * from {{ ref('gate_checks') }}

),

published as (

    select * from {{ ref('int_published_build') }}
    where kind = 'check'

),

published_build as (

    select * from {{ ref('int_gate_comparable') }}

),

run as (

    select * from {{ ref('run_metadata') }}

),

gone as (

    select
        pool,
        check_name,
        source_file,
        symbol,
        trade_date,
        value,
        detail,
        detail_zh
    from findings
    where
        build = 'published'
        and compared_by <> 'none'
        and not is_in_both
    union all
    -- A check without a value has no finding.
    select
        published.pool,
        published.name as check_name,
        null as source_file,
        null as symbol,
        null as trade_date,
        published.value,
        published.detail,
        published.detail_zh
    from published
    inner join checks
        on
            published.pool = checks.pool
            and published.name = checks.check_name
    where
        published.status <> 'pass'
        and published.value is null
        and checks.value is not null

)

select
    gone.pool,
    gone.check_name,
    checks.title,
    checks.title_zh,
    gone.source_file,
    gone.symbol,
    gone.trade_date,
    gone.value,
    gone.detail,
    gone.detail_zh
from gone
inner join checks
    on
        gone.pool = checks.pool
        and gone.check_name = checks.check_name
cross join run
cross join published_build
where
    published_build.is_comparable
    -- A finding after the last session of this build is not gone.
    and coalesce(gone.trade_date <= run.last_date, true)
order by gone.pool, gone.check_name, gone.symbol, gone.trade_date, gone.detail
