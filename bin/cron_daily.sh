#!/usr/bin/env bash
# The daily run for cron, for example at 18:00 on weekdays (CRON_TZ=Asia/Shanghai):
#   0 18 * * 1-5 /path/to/project/bin/cron_daily.sh
# Arguments go to 'etf-rotation run'. cron's environment is empty: settings (ETF_RAW_ROOT,
# DINGTALK_WEBHOOK, …) are read from the file ETF_ENV_FILE, .env in the project where that is not
# set, as lines NAME=value; let nobody else read it (chmod 600). The log of each day is kept for 30
# days in ETF_LOG_DIR (factor_output/logs). Of two runs at once the second ends with code 2.
set -uo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}" TZ=Asia/Shanghai

env_file="${ETF_ENV_FILE:-$root/.env}"
if [ -f "$env_file" ]; then
    set -a
    # shellcheck source=/dev/null
    . "$env_file" || exit 2
    set +a
fi

logs="${ETF_LOG_DIR:-$root/factor_output/logs}"
mkdir -p "$logs" || exit 2
find "$logs" -maxdepth 1 -name 'cron_*.log' -mtime +30 -delete
log="$logs/cron_$(date +%Y%m%d).log"
# The log is for its owner; what is published keeps the permissions that the user wants.
(umask 077 && : >> "$log") || exit 2
{
    echo "== $(date '+%F %T %z') etf-rotation run $*"
    "$root/bin/etf-rotation" run "$@"
    code=$?
    echo "== $(date '+%F %T %z') exit code $code"
} >> "$log" 2>&1
# cron mails what is printed: a line when it went wrong, nothing when it went well.
[ "$code" -eq 0 ] || echo "etf-rotation run ended with code $code, see $log" >&2
exit "$code"
