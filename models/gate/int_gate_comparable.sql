{{ config(materialized='ephemeral') }}

-- Whether there is a published build whose checks and findings can be read.

select
    count(*) filter (where kind = 'check') > 0
    and count(*) filter (where kind = 'fault' and coalesce(name, 'gate.') like 'gate.%') = 0
        as is_comparable
from {{ ref('int_published_build') }}
