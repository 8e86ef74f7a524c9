with

bars as (

    select
        *,
        o / previous_c - 1 as overnight_r,
        c / o - 1 as intraday_r
    from {{ ref('int_bars') }}

),

{{ rolling('peaks', 'bars', [20, 63, 126, 252], max=['c']) }},

{{ rolling('falls', 'peaks', [60, 120], drawdown=['c']) }},

{{ rolling('parts', 'falls', [20], sum=['overnight_r', 'intraday_r']) }},

returns as (

    select
        *,
        {% for n in [1, 2, 3, 5, 10, 20, 30, 60, 63, 120, 126, 252] %}
        c / {{ lag_bars('c', n) }} - 1 as ret_{{ n }}{{ ',' if not loop.last }}
        {% endfor %}
    from parts

)

select
    bar_id,
    {% for n in [1, 2, 3, 5, 10, 20, 30, 60, 63, 120, 126, 252] %}
    ret_{{ n }},
    {% endfor %}
    {% for n in [20, 63, 126, 252] %}
    c / c_max_{{ n }} - 1 as drawdown_{{ n }},
    {% endfor %}
    {% for n in [60, 120] %}
    c_drawdown_{{ n }} as max_drawdown_{{ n }},
    {% endfor %}
    ret_60 / nullif(abs(c_drawdown_60), 0) as calmar_60,
    ret_20 - ret_60 / 3 as momentum_acceleration_20_60,
    overnight_r_sum_20 as overnight_ret_20,
    intraday_r_sum_20 as intraday_ret_20
from returns
