-- Promise 2 for every row, including PORTFOLIO.

{{ after_the_gate() }}

select *
from {{ ref('equity_daily') }}
where
    not coalesce(
        abs(equity - cash - holdings_value) < 0.01
        and abs(
            equity - previous_equity
            - (price_pnl + corporate_action_value - commission - slippage)
        ) < 0.01
        and cash >= 0
        and drawdown <= 0,
        false
    )
