"""The dashboard of the model: is it there, is it good, what does it cost?"""

from typing import Final

from tools.dashboards.panels import Board, Mark, panel
from tools.dashboards.queries import RATE, RED, quantile_of

MODEL: Final = Board(
    "model",
    "Model & cost",
    "Does the provider answer, how well, and at what cost?",
    {
        "Answers": [
            panel(
                "Calls",
                "Per minute, by result.",
                "opm",
                {"{{result}}": f"60 * sum by (result) (rate(afterbell_model_requests_total{RATE}))"},
                stacked=True,
            ),
            panel(
                "Time of a call",
                "From the request to the last token.",
                "s",
                {
                    "p50 {{model}}": quantile_of(0.5, "afterbell_model_request_duration_seconds", "le, model"),
                    "p95 {{model}}": quantile_of(0.95, "afterbell_model_request_duration_seconds", "le, model"),
                },
            ),
            panel(
                "Held back",
                "1 while calls to a model are held back by breaker or pause.",
                "bool",
                {"{{model}}": "max by (model) (afterbell_model_troubled)"},
            ),
            panel(
                "Calls told to wait",
                "By breaker, pause or quota, per minute.",
                "opm",
                {"told to wait": f"60 * (sum(rate(afterbell_model_limiter_wait_seconds_count{RATE})) or vector(0))"},
            ),
            panel(
                "Grounded",
                "Claims supported by the transcript / all claims.",
                "percentunit",
                {
                    "grounded": f"sum(rate(afterbell_report_grounded_ratio_sum{RATE}))"
                    f" / sum(rate(afterbell_report_grounded_ratio_count{RATE}))"
                },
            ),
            panel(
                "Basic instead of a model",
                "Basic reports because no model was available / all reports.",
                "percentunit",
                {
                    "basic": f'(sum(rate(afterbell_reports_total{{writer="fallback"}}{RATE})) or vector(0))'
                    f" / sum(rate(afterbell_reports_total{RATE}))"
                },
            ),
        ],
        "Money": [
            panel(
                "Cost",
                "US dollars per hour, by the model that answered.",
                "currencyUSD",
                {"{{model}}": f"3600 * sum by (model) (rate(afterbell_model_cost_usd_total{RATE}))"},
            ),
            panel(
                "Tokens",
                "Per minute, input and output.",
                "short",
                {"{{kind}}": f"60 * sum by (kind) (rate(afterbell_model_tokens_total{RATE}))"},
            ),
            panel(
                "Budgets",
                "Spent / budget, all tenants.",
                "percentunit",
                {"{{period}}": "max by (period) (afterbell_budget_used_ratio)"},
                marks=(Mark(0.8, "orange"), Mark(1, RED)),
            ),
            panel(
                "Cost per report",
                "Average over the last hour.",
                "currencyUSD",
                {
                    "a report": "sum(increase(afterbell_model_cost_usd_total[1h]))"
                    ' / sum(increase(afterbell_reports_total{writer="model"}[1h]))'
                },
            ),
            panel(
                "Budgets passed",
                "Marks of 50, 80 and 100 % passed in the last day.",
                "short",
                {
                    "{{whose}} {{period}} {{percent}} %": "sum by (whose, period, percent) (increase(afterbell_budget_marks_total[1d])) or vector(0)"
                },
            ),
            panel(
                "Models end in",
                "Until the provider's announced end of a configured model; 0: none is announced.",
                "s",
                {"{{model}}": "max by (model) (afterbell_model_shutdown_timestamp_seconds) - time() or vector(0)"},
            ),
        ],
    },
)
