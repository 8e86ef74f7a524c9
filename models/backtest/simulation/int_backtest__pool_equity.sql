-- Sessions of each strategy and pool, with the previous equity and the benchmark's
-- return.

with

sessions as (

    select * from {{ ref('int_backtest__ledger') }}
    where kind = 'session'

),

parameters as (

    select * from {{ ref('int_backtest__parameters') }}

),

benchmark as (

    select * from {{ ref('int_backtest__benchmark') }}

),

trades as (

    select * from {{ ref('trades') }}
    -- A payout is no trade and adds no turnover.
    where reason <> 'ended'

),

traded as (

    select
        strategy,
        pool,
        trade_date,
        sum(value order by sequence) as traded_value
    from trades
    group by strategy, pool, trade_date

)

select
    sessions.strategy,
    sessions.pool,
    sessions.trade_date,
    coalesce(
        lag(sessions.equity) over (partition by sessions.strategy, sessions.pool order by sessions.trade_date),
        parameters.target_capital
    ) as previous_equity,
    sessions.equity,
    sessions.cash,
    sessions.holdings_value,
    -- 0 if no fund has a bar: the return of the next bar spans this session.
    coalesce(benchmark.benchmark_return, 0) as benchmark_return,
    sessions.price_pnl,
    sessions.corporate_action_value,
    sessions.commission,
    sessions.slippage,
    coalesce(traded.traded_value, 0) as traded_value
from sessions
inner join parameters
    on
        sessions.strategy = parameters.strategy
        and sessions.pool = parameters.pool
left join benchmark
    on
        sessions.pool = benchmark.pool
        and sessions.trade_date = benchmark.trade_date
left join traded
    on
        sessions.strategy = traded.strategy
        and sessions.pool = traded.pool
        and sessions.trade_date = traded.trade_date
order by sessions.strategy, sessions.pool, sessions.trade_date
