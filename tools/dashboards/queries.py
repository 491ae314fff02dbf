"""What several dashboards ask Prometheus."""

from typing import Final

RATE: Final = "[$__rate_interval]"
RED: Final = "red"
# What administrators ask on the internal port is counted as well, and no customer waits for it.
PUBLIC: Final = 'route!~"/admin/.*"'
DEAD: Final = f'(sum(rate(afterbell_job_outcomes_total{{outcome="dead"}}{RATE})) or vector(0))'
ENDED: Final = f'sum(rate(afterbell_job_outcomes_total{{outcome=~"done|dead"}}{RATE}))'


def quantile_of(quantile: float, metric: str, by: str = "le", only: str = "") -> str:
    return f"histogram_quantile({quantile}, sum by ({by}) (rate({metric}_bucket{only}{RATE})))"
