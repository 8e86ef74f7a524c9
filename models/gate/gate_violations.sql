-- Every finding behind a check that does not pass, for someone to open.

with

observations as (

    select * from {{ ref('int_gate_observations') }}

),

thresholds as (

    select * from {{ ref('gate_thresholds') }}

)

select
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
order by
    observations.pool, observations.check_name, observations.symbol, observations.trade_date,
    observations.detail
