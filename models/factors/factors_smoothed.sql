-- Every recursively smoothed indicator, as one state carried from bar to bar of a fund. A state
-- that feeds another stands one level further in, so that the other reads its new value.

{% set averages = [5, 10, 12, 20, 26, 30, 40, 50, 60, 80, 100, 120, 150, 200, 252] %}
{% set macds = [(12, 26, 9), (16, 34, 7), (20, 42, 8), (5, 35, 5)] %}
{% set rsis = [6, 9, 12, 14, 20, 24, 30, 60] %}
{% set ranges = [7, 10, 14, 20, 30, 60] %}
{% set nothing = '<= 1e-14' %}

with recursive

bars as (

    select
        *,
        abs(c - previous_c) as moved
    from (select * from {{ ref('int_bars') }} order by symbol, bar_number)

),

{{ rolling('paths', 'bars', [10], sum=['moved']) }},

inputs as materialized (

    select
        symbol,
        trade_date,
        bar_number,
        c,
        tr,
        case when c > previous_c then c - previous_c when c <= previous_c then 0 end as gain,
        case when c < previous_c then previous_c - c when c >= previous_c then 0 end as loss,
        case
            when h - previous_h > 0 and h - previous_h > previous_l - l then h - previous_h
            when bar_number > 1 then 0
        end as plus_dm,
        case
            when previous_l - l > 0 and previous_l - l > h - previous_h then previous_l - l
            when bar_number > 1 then 0
        end as minus_dm,
        -- Kaufman's constant: between a 30 and a 2 bar average, by the efficiency ratio.
        pow(
            case
                when moved_sum_10 <= c - {{ ago('c', 10) }} or moved_sum_10 {{ nothing }} then 1.0
                else abs(c - {{ ago('c', 10) }}) / moved_sum_10
            end * (2.0 / 3 - 2.0 / 31) + 2.0 / 31,
            2
        ) as kama_constant
    from paths

),

states as (

    select
        symbol,
        bar_number as bar_reached,
        {% for n in averages + [15, 34, 35, 42] %}
        c as ema_{{ n }},
        {% endfor %}
        {% for f, s, g in macds %}
        cast(null as double) as macd_fast_{{ s }},
        cast(null as double) as macd_signal_{{ s }},
        {% endfor %}
        {% for n in rsis %}
        cast(null as double) as gain_{{ n }},
        cast(null as double) as loss_{{ n }},
        {% endfor %}
        {% for n in ranges %}
        cast(null as double) as atr_{{ n }},
        {% endfor %}
        cast(null as double) as plus_dm_14,
        cast(null as double) as minus_dm_14,
        cast(null as double) as tr_14,
        cast(null as double) as kama_10,
        cast(null as double) as adx_14,
        cast(null as double) as ema_ema_15,
        cast(null as double) as ema_ema_ema_15,
        cast(null as double) as previous_ema_ema_ema_15
    from inputs
    where bar_number = 1

    union all

    select
        symbol,
        bar_number,
        {% for n in averages + [15, 34, 35, 42] %}
        ema_{{ n }},
        {% endfor %}
        {% for f, s, g in macds %}
        macd_fast_{{ s }},
        macd_signal_{{ s }},
        {% endfor %}
        {% for n in rsis %}
        gain_{{ n }},
        loss_{{ n }},
        {% endfor %}
        {% for n in ranges %}
        atr_{{ n }},
        {% endfor %}
        plus_dm_14,
        minus_dm_14,
        tr_14,
        kama_10,
        -- The mean of the first 14 DX, then Wilder's average; a bar without direction is passed over.
        case
            when bar_number < 15 then null
            when bar_number = 15 then coalesce(dx_14, 0)
            when bar_number < 28 then old_adx_14 + coalesce(dx_14, 0)
            when bar_number = 28 then (old_adx_14 + coalesce(dx_14, 0)) / 14
            when dx_14 is null then old_adx_14
            else (old_adx_14 * 13 + dx_14) / 14
        end as adx_14,
        ema_ema_15,
        {{ ema('old_ema_ema_ema_15', 'ema_ema_15', 15, first=29) }} as ema_ema_ema_15,
        old_ema_ema_ema_15 as previous_ema_ema_ema_15
    from (

        select
            *,
            {% for f, s, g in macds %}
            {{ ema('old_macd_signal_' ~ s, '(macd_fast_' ~ s ~ ' - ema_' ~ s ~ ')', g, first=s) }}
                as macd_signal_{{ s }},
            {% endfor %}
            100 * abs(plus_dm_14 / tr_14 - minus_dm_14 / tr_14)
            / case
                when tr_14 {{ nothing }} then null
                when 100 * (plus_dm_14 / tr_14 + minus_dm_14 / tr_14) {{ nothing }} then null
                else plus_dm_14 / tr_14 + minus_dm_14 / tr_14
            end as dx_14,
            {{ ema('old_ema_ema_15', 'ema_15', 15, first=15) }} as ema_ema_15
        from (

            select
                bar.symbol,
                bar.bar_number,
                {% for n in averages + [15, 34, 35, 42] %}
                {{ ema('state.ema_' ~ n, 'bar.c', n) }} as ema_{{ n }},
                {% endfor %}
                {% for f, s, g in macds %}
                -- TA-Lib seeds both averages on the slow one's bar, so that the fast starts late.
                {{ ema('state.macd_fast_' ~ s, 'bar.c', f, first=s - f + 1) }} as macd_fast_{{ s }},
                state.macd_signal_{{ s }} as old_macd_signal_{{ s }},
                {% endfor %}
                {% for n in rsis %}
                {{ wilder('state.gain_' ~ n, 'bar.gain', n) }} as gain_{{ n }},
                {{ wilder('state.loss_' ~ n, 'bar.loss', n) }} as loss_{{ n }},
                {% endfor %}
                {% for n in ranges %}
                {{ wilder('state.atr_' ~ n, 'bar.tr', n) }} as atr_{{ n }},
                {% endfor %}
                {% for x in ['plus_dm', 'minus_dm', 'tr'] %}
                {{ wilder_sum('state.' ~ x ~ '_14', 'bar.' ~ x, 14) }} as {{ x }}_14,
                {% endfor %}
                case
                    when bar.bar_number = 10 then bar.c
                    when bar.bar_number > 10
                        then state.kama_10 + bar.kama_constant * (bar.c - state.kama_10)
                end as kama_10,
                state.adx_14 as old_adx_14,
                state.ema_ema_15 as old_ema_ema_15,
                state.ema_ema_ema_15 as old_ema_ema_ema_15
            from states as state
            inner join inputs as bar
                on
                    state.symbol = bar.symbol
                    and state.bar_reached + 1 = bar.bar_number

        ) as averaged

    ) as combined

)

select
    states.symbol,
    inputs.trade_date,
    {% for n in averages %}
    case when bar_number >= {{ n }} then ema_{{ n }} end as ema_{{ n }},
    {% endfor %}
    case when bar_number >= 28 then adx_14 end as adx_14,
    {% for sign in ['plus', 'minus'] %}
    case
        when bar_number < 15 then null
        when tr_14 {{ nothing }} then 0.0
        else 100 * {{ sign }}_dm_14 / tr_14
    end as {{ sign }}_di_14,
    {% endfor %}
    case when bar_number >= 11 then kama_10 end as kama_10,
    case when bar_number >= 44 then 100 * (ema_ema_ema_15 / previous_ema_ema_ema_15 - 1) end as trix_15,
    {% for f, s, g in macds %}
    {% set id = f ~ '_' ~ s ~ '_' ~ g %}
    case when bar_number >= {{ s + g - 1 }} then macd_fast_{{ s }} - ema_{{ s }} end as macd_{{ id }},
    case when bar_number >= {{ s + g - 1 }} then macd_signal_{{ s }} end as macd_signal_{{ id }},
    case when bar_number >= {{ s + g - 1 }} then macd_fast_{{ s }} - ema_{{ s }} - macd_signal_{{ s }} end as macd_hist_{{ id }},
    {% endfor %}
    {% for n in rsis %}
    case
        when bar_number <= {{ n }} then null
        when gain_{{ n }} + loss_{{ n }} {{ nothing }} then 0.0
        else 100 * gain_{{ n }} / (gain_{{ n }} + loss_{{ n }})
    end as rsi_{{ n }},
    {% endfor %}
    {% for n in ranges %}
    case when bar_number > {{ n }} then atr_{{ n }} end as atr_{{ n }},
    {% endfor %}
    case when bar_number > 14 then 100 * atr_14 / c end as natr_14
from states
inner join inputs
    on
        states.symbol = inputs.symbol
        and states.bar_reached = inputs.bar_number
order by states.symbol, inputs.bar_number
