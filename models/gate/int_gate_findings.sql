{{ config(materialized='ephemeral') }}

-- Findings of this build and of the published one; is_in_both is true if both have it.
-- The column compared_by of the seed gate_thresholds defines the same finding.

with

observations as (

    select * from {{ ref('int_gate_observations') }}

),

thresholds as (

    select * from {{ ref('gate_thresholds') }}

),

published as (

    select * from {{ ref('int_published_build') }}

),

both_builds as (

    select
        'current' as build,
        observations.pool,
        observations.check_name,
        observations.source_file,
        observations.symbol,
        observations.trade_date,
        observations.value,
        observations.detail,
        observations.detail_zh
    from observations
    inner join thresholds
        on observations.check_name = thresholds.check_name
    where
        case
            when thresholds.aggregate = 'sum' then observations.value > 0
            else
                {{ is_beyond(
                    'observations.value',
                    'thresholds.direction',
                    'coalesce(thresholds.warn_threshold, thresholds.fail_threshold)'
                ) }}
        end
    union all
    select
        'published' as build,
        pool,
        name as check_name,
        source_file,
        symbol,
        trade_date,
        value,
        detail,
        detail_zh
    from published
    where kind = 'finding'

),

keyed as (

    select
        both_builds.*,
        thresholds.compared_by,
        case when thresholds.compared_by <> 'fund' then both_builds.trade_date end as key_date,
        case when thresholds.compared_by = 'detail' then both_builds.detail end as key_detail
    from both_builds
    inner join thresholds
        on both_builds.check_name = thresholds.check_name

),

-- Several findings can share a key. Those with the same words match first; of the
-- others, as many match as both builds have.
twinned as (

    select
        *,
        min(build) over same_words <> max(build) over same_words as has_twin
    from keyed
    window
        same_words as (
            partition by pool, check_name, symbol, key_date, key_detail, detail
        )

),

counted as (

    select
        *,
        count(*) filter (where build = 'current') over same_key as n_current,
        count(*) filter (where build = 'published') over same_key as n_published,
        row_number() over (
            partition by build, pool, check_name, symbol, key_date, key_detail
            order by has_twin desc, detail
        ) as place
    from twinned
    window same_key as (partition by pool, check_name, symbol, key_date, key_detail)

)

select
    build,
    pool,
    check_name,
    source_file,
    symbol,
    trade_date,
    value,
    detail,
    detail_zh,
    compared_by,
    place <= least(n_current, n_published) as is_in_both
from counted
