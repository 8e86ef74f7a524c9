with

metrics as (

    select * from {{ ref('metrics') }}

)

select *
from metrics
order by pool = 'PORTFOLIO', pool
