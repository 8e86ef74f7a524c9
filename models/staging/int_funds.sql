{% set pools = selected_pools() %}

with

etf_pools as (

    select * from {{ ref('etf_pools') }}

),

raw_symbols as (

    select distinct raw_symbol as symbol
    from {{ ref('int_raw_symbols') }}

),

in_pools as (

    select
        symbol,
        pool,
        name,
        category,
        asset_class,
        is_broad
    from etf_pools
    {% if pools %}
    where pool in ({% for pool in pools %}{{ sql_text(pool) }}{{ ', ' if not loop.last }}{% endfor %})
    {% endif %}

),

in_market as (

    select
        raw_symbols.symbol,
        'MARKET' as pool,
        cast(null as varchar) as name,
        cast(null as varchar) as category,
        cast(null as varchar) as asset_class,
        false as is_broad
    from raw_symbols
    left join etf_pools
        on raw_symbols.symbol = etf_pools.symbol
    where
        etf_pools.symbol is null
        and regexp_full_match(raw_symbols.symbol, '[0-9]{6}[.](SH|SZ)')
        and {{ universe() == 'all' and (not pools or 'MARKET' in pools) }}

)

select * from in_pools
union all
select * from in_market
