{{ config(materialized='ephemeral') }}

-- Compares the columns that a fund's adjustment may come from. Most funds have only
-- one.

{# A ratio further than this from 1 is a split. #}
{% set split = 0.15 %}
{% set tolerance, split_tolerance = 0.01, 0.10 %}
{% set listed = 3 %}

with

pools as (

    select * from {{ ref('int_gate_pools') }}
    where is_pool

),

fail_threshold as (

    select max(fail_threshold) as largest from {{ ref('gate_thresholds') }}
    where check_name = 'adjustment_sources'

),

quarantined as (

    select * from {{ ref('quarantine') }}

),

raw_rows as (

    select
        source_file,
        source_row,
        raw_symbol as symbol,
        trade_date,
        case when not isnan(adj_factor) then adj_factor end as adj_factor,
        case when not isnan(adj_close) then adj_close end as adj_close
    from {{ ref('raw_rows') }}
    where
        raw_symbol in (
            select raw_symbol from {{ ref('raw_rows') }}
            where adj_factor is not null or adj_close is not null
        )

),

actions as (

    select * from {{ ref('corporate_actions') }}

),

bars as (

    select
        bars.symbol,
        bars.pool,
        bars.trade_date,
        bars.bar_number,
        bars.close,
        bars.pre_close,
        raw_rows.source_file,
        raw_rows.source_row,
        raw_rows.adj_factor,
        raw_rows.adj_close,
        actions.share_ratio
    from {{ ref('stg_etf_daily') }} as bars
    inner join raw_rows
        on
            bars.symbol = raw_rows.symbol
            and bars.trade_date = raw_rows.trade_date
    anti join quarantined
        on
            raw_rows.source_file = quarantined.source_file
            and raw_rows.source_row = quarantined.source_row
    left join actions
        on
            bars.symbol = actions.symbol
            and bars.trade_date = actions.trade_date

),

links as (

    select
        pool,
        symbol,
        trade_date,
        lag(trade_date) over fund as previous_trade_date,
        adj_factor / lag(adj_factor) over fund as adj_factor,
        (adj_close / close) / lag(adj_close / close) over fund as adj_close,
        case
            when pre_close is not null then coalesce(share_ratio, lag(close) over fund / pre_close)
        end as pre_close
    from bars
    window fund as (partition by symbol order by bar_number)

),

pairs as (

    {% for one, other in [('adj_factor', 'pre_close'), ('adj_close', 'pre_close'), ('adj_factor', 'adj_close')] %}
    select
        pool,
        symbol,
        trade_date,
        previous_trade_date,
        '{{ one }}' as one,
        '{{ other }}' as other,
        {{ one }} as one_link,
        {{ other }} as other_link,
        greatest({{ one }} / {{ other }}, {{ other }} / {{ one }}) - 1 as distance,
        abs({{ one }} - 1) > {{ split }} or abs({{ other }} - 1) > {{ split }} as is_split
    from links
    -- The cleaning quarantines non-finite values of the source that is used. Skip them
    -- here.
    where isfinite({{ one }}) and isfinite({{ other }}) and {{ one }} > 0 and {{ other }} > 0
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

lost_rows as (

    select
        symbol,
        trade_date
    from {{ ref('suspensions') }}
    where kind = 'no_row'
    union all
    select
        symbol,
        trade_date
    from quarantined
    where reason <> 'exact_duplicate'

),

-- After lost rows pre_close includes the moves of those sessions, up to the price limit
-- on each.
differing as (

    select
        pairs.*,
        count(lost_rows.symbol) as sessions_lost
    from pairs
    left join lost_rows
        on
            pairs.symbol = lost_rows.symbol
            and pairs.previous_trade_date < lost_rows.trade_date
            and pairs.trade_date > lost_rows.trade_date
    where pairs.distance > {{ tolerance }}
    group by all
    having
        pairs.distance > greatest(
            case when pairs.is_split then {{ split_tolerance }} else {{ tolerance }} end,
            {{ var('default_price_limit') }} * count(lost_rows.symbol)
        )

),

numbered as (

    select
        *,
        row_number() over (partition by symbol, one, other order by trade_date) as place
    from differing

),

contradictions as (

    select
        pool,
        symbol,
        one,
        other,
        min(trade_date) as trade_date,
        max(trade_date) as last_date,
        count(*) as n,
        bool_or(is_split) as has_split,
        string_agg(
            format('{:.5g} and {:.5g} on {}', one_link, other_link, trade_date), ', ' order by place
        ) filter (place <= {{ listed }}) as listed,
        string_agg(
            format('{} 为 {:.5g} 与 {:.5g}', trade_date, one_link, other_link), '、' order by place
        ) filter (place <= {{ listed }}) as listed_zh
    from numbered
    group by pool, symbol, one, other

),

starts as (

    {% for column in ['adj_factor', 'adj_close'] %}
    select
        pool,
        symbol,
        '{{ column }}' as source,
        arg_min(source_file, bar_number) as source_file,
        arg_min(source_row, bar_number) as source_row,
        min(trade_date) as trade_date,
        min(bar_number) filter ({{ column }} is not null) as first_bar_number,
        min(trade_date) filter ({{ column }} is not null) as first_date
    from bars
    group by pool, symbol
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

late as (

    select * from starts
    where first_bar_number > 1

)

select
    pools.pool,
    'adjustment_sources' as check_name,
    cast(null as varchar) as source_file,
    contradictions.symbol,
    contradictions.trade_date,
    case
        when contradictions.symbol is null then 0
        -- One wrong split fails at once: count it as more than may differ.
        when contradictions.has_split then greatest(contradictions.n, fail_threshold.largest + 1)
        else contradictions.n
    end as value,
    format(
        'bars on which {} and {} disagree: {}, to {}; their ratios are {}{}',
        contradictions.one, contradictions.other, contradictions.n, contradictions.last_date,
        contradictions.listed, case when contradictions.n > {{ listed }} then ', ...' else '' end
    ) as detail,
    format(
        '{} 与 {} 不一致的日线：{} 根，至 {}；比值 {}{}',
        contradictions.one, contradictions.other, contradictions.n, contradictions.last_date,
        contradictions.listed_zh, case when contradictions.n > {{ listed }} then '等' else '' end
    ) as detail_zh
from pools
cross join fail_threshold
left join contradictions
    on pools.pool = contradictions.pool
union all
select
    pools.pool,
    'late_source' as check_name,
    late.source_file,
    late.symbol,
    late.trade_date,
    (late.symbol is not null)::integer as value,
    format(
        'row {}: {} is null on the first bar and begins on {}; bars to fill: {}',
        late.source_row, late.source, late.first_date, late.first_bar_number - 1
    ) as detail,
    format(
        '第 {} 行：首根日线缺 {}，自 {} 起才有；需补 {} 根日线',
        late.source_row, late.source, late.first_date, late.first_bar_number - 1
    ) as detail_zh
from pools
left join late
    on pools.pool = late.pool
