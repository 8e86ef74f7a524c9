{{ config(severity='error') }}

{{ runs_last() }}

{{ gate_findings('fail') }}
