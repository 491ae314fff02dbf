"""Every alert fires when it should, stays quiet when it should and resolves; every one has a page that helps."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.architecture.test_docs_reference import commands
from tests.observability.alert_cases import CASES, Case
from tests.support.prometheus import ROOT, promtool, require, rule_files
from tools import slo_rules
from tools.metrics_reference import registered

from afterbell.cli.main import app as command_line

GROUPS = [group for path in rule_files() for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
PAGES = "https://github.com/afterbell/afterbell/blob/main/"
SERIES = {name: metric for metric in registered() for name in metric.series}

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")


def test_promtool_finds_nothing_to_complain_about() -> None:
    require("promtool")
    said = promtool("check", "rules", *map(str, rule_files()))
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_burn_rates_are_what_the_code_makes() -> None:
    assert slo_rules.FILE.read_text("utf-8") == slo_rules.text(), "run `make reference`"


@each_alert
def test_an_alert_says_what_how_much_how_bad_and_where_to_read_on(alert: dict[str, Any]) -> None:
    notes = alert["annotations"]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert notes["summary"]
    # Of what is absent there is no number.
    assert "$value" in notes["description"] or "{{ $labels" in notes["description"] or "absent(" in alert["expr"]
    page = ROOT / notes["runbook_url"].removeprefix(PAGES)
    assert page.is_file(), notes["runbook_url"]
    text = page.read_text("utf-8")
    assert page.stem == alert["alert"]
    assert text.startswith(f"# {alert['alert']}\n")
    assert "## Look" in text
    assert "## Do" in text


def test_every_runbook_belongs_to_an_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages == {rule["alert"] for rule in ALERTS}


def test_rules_use_only_metrics_there_are_and_edges_there_are() -> None:
    for rule in (rule for group in GROUPS for rule in group["rules"]):
        for name in re.findall(r"(?<!:)\bafterbell_[a-z0-9_]+", rule["expr"]):
            assert name in SERIES, f"{name} is not registered"
        for name, edge in re.findall(r'(afterbell_[a-z0-9_]+)\{[^}]*le="([0-9.]+)"', rule["expr"]):
            assert float(edge) in SERIES[name].edges, f"{name} has no edge at {edge}"


def test_who_looks_at_a_queue_that_is_away_wakes_nobody(tmp_path: Path) -> None:
    """The admin API answers 503 then; every request of a customer is answered."""
    require("promtool")
    http = "afterbell_http_request_duration_seconds_count"
    series = [
        {"series": f'{http}{{namespace="lessons", route="/admin/queue", status="503"}}', "values": "0+100x200"},
        {"series": f'{http}{{namespace="lessons", route="/api/sessions/{{id}}", status="200"}}', "values": "0+100x200"},
    ]
    asked = 'count(ALERTS{alertname="AfterbellApiErrors"}) or vector(0)'
    file = tmp_path / "case.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(slo_rules.FILE)],
                "evaluation_interval": "1m",
                "tests": [
                    {
                        "interval": "1m",
                        "input_series": series,
                        "promql_expr_test": [
                            {"expr": asked, "eval_time": "3h", "exp_samples": [{"labels": "{}", "value": 0}]}
                        ],
                    }
                ],
            }
        )
    )
    said = promtool("test", "rules", str(file))
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_a_case() -> None:
    assert {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS} == {
        (case.alert, case.severity) for case in CASES
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{case.severity}")
def test_an_alert_is_quiet_then_fires_then_resolves(case: Case, tmp_path: Path) -> None:
    require("promtool")
    asked = f'count(ALERTS{{alertname="{case.alert}", severity="{case.severity}", alertstate="firing"}}) or vector(0)'
    checks = [
        {"expr": asked, "eval_time": moment, "exp_samples": [{"labels": "{}", "value": firing}]}
        for moment, firing in ((case.quiet_at, 0), (case.fires_at, 1), (case.resolved_at, 0))
    ]
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    file = tmp_path / "case.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "rule_files": [
                    str(path) for path in rule_files() if f"alert: {case.alert}\n" in path.read_text("utf-8")
                ],
                "evaluation_interval": case.every,
                "tests": [{"interval": case.every, "input_series": series, "promql_expr_test": checks}],
            }
        )
    )
    said = promtool("test", "rules", str(file))
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_commands_of_a_runbook_exist() -> None:
    known = {name for name, _ in commands(typer.main.get_command(command_line), "afterbell")}
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "runbooks").glob("*.md"))
    mentioned = re.findall(r"(?:^|`)(afterbell [a-z]+(?: [a-z]+)?)", pages, re.MULTILINE)
    assert mentioned
    assert {command for command in mentioned if command not in known} == set()
