-- A fund relative to the mean of its pool.

with

bars as (

    select * from {{ ref('int_bars') }}

),

returns as (

    select
        bar_id,
        trade_date,
        pool,
        bar_number,
        r,
        {% for n in [20, 60] %}
        c / {{ lag_bars('c', n) }} - 1 as ret_{{ n }}{{ ',' if not loop.last }}
        {% endfor %}
    from bars

),

pool_means as (

    select
        pool,
        trade_date,
        {% for x in ['r', 'ret_20', 'ret_60'] %}
        case when count({{ x }}) >= 3 then {{ exact_mean(x) }} end as pool_{{ x }}{{ ',' if not loop.last }}
        {% endfor %}
    from returns
    group by pool, trade_date

),

joined as (

    select
        returns.bar_id,
        returns.bar_number,
        returns.r,
        returns.ret_20,
        returns.ret_60,
        pool_means.pool_r as m,
        pool_means.pool_ret_20,
        pool_means.pool_ret_60
    from returns
    inner join pool_means
        on
            returns.pool = pool_means.pool
            and returns.trade_date = pool_means.trade_date
    order by returns.bar_id

),

{{ rolling('pairs', 'joined', [60], ssd=['r', 'm'], cov=[('r', 'm')]) }},

deviations as (

    select
        *,
        {{ sd('r', 60, returns=true) }} as r_sd,
        {{ sd('m', 60, returns=true) }} as m_sd
    from pairs

),

residuals as (

    select
        *,
        -- Σ(r - α - βm)² of the least-squares line. Rounding can make it slightly
        -- negative.
        case
            when m_sd > 0 and r_ssd_60 > pow(r_m_cov_60, 2) / m_ssd_60
                then r_ssd_60 - pow(r_m_cov_60, 2) / m_ssd_60
            when m_sd > 0 and r_ssd_60 is not null then 0.0
        end as residual_dev
    from deviations

)

select
    bar_id,
    case when m_sd > 0 then r_m_cov_60 / m_ssd_60 end as market_beta_60,
    r_m_cov_60 / nullif(r_sd * m_sd * 59, 0) as market_corr_60,
    case when sqrt(residual_dev / 59) <= 1e-15 then 0.0 else sqrt(residual_dev / 59) end as residual_volatility_60,
    ret_20 - pool_ret_20 as relative_strength_20,
    ret_60 - pool_ret_60 as relative_strength_60
from residuals
