"""Panels, variables and the frame of a dashboard as Grafana's classic JSON: readable calls in, dictionaries out."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
INFINITY: Final = {"type": "yesoreyeram-infinity-datasource", "uid": "${infinity}"}
DOCS: Final = "https://github.com/afterbell/afterbell/blob/main/docs"
WIDTH: Final = 24
HEIGHT: Final = 8
_METRIC: Final = re.compile(r"\b(afterbell_[a-z0-9_]+)(?:\{([^}]*)\})?")


@dataclass(frozen=True, slots=True)
class Mark:
    """From ``value`` on the number is shown in ``color``."""

    value: float
    color: str


def panel(
    title: str,
    description: str,
    unit: str,
    queries: dict[str, str],
    *,
    kind: str = "timeseries",
    width: int = 8,
    marks: tuple[Mark, ...] = (),
    stacked: bool = False,
) -> Json:
    """One picture. ``queries``: legend → PromQL, whose metrics get the variables' matchers. ``unit`` is Grafana's."""
    steps = [{"color": "green", "value": None}, *({"color": mark.color, "value": mark.value} for mark in marks)]
    custom = {
        "fillOpacity": 20 if stacked else 8,
        "stacking": {"mode": "normal" if stacked else "none"},
        "showPoints": "never",
        "thresholdsStyle": {"mode": "line" if marks else "off"},
    }
    defaults: Json = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, "min": 0}
    if kind == "timeseries":
        defaults["custom"] = custom
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": HEIGHT if kind == "timeseries" else HEIGHT // 2},
        "targets": [_target(number, legend, query) for number, (legend, query) in enumerate(queries.items())],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[kind],
    }


def stat(title: str, description: str, unit: str, query: str, *marks: Mark) -> Json:
    """One number with its colour; a sixth of the width."""
    return panel(title, description, unit, {title: query}, kind="stat", width=4, marks=marks)


def table_of(
    title: str,
    description: str,
    url: str,
    root: str,
    columns: dict[str, str],
    *,
    height: int = HEIGHT + 4,
    link: tuple[str, str] | None = None,
) -> Json:
    """A table from the admin API, by the Infinity data source.

    ``root``: where the rows are, in JSONata, which goes through lists by itself; ``columns``: field of a row → heading,
    none: all fields; ``link``: a heading and where a click on its cells leads.
    """
    target = {
        "refId": "A",
        "datasource": INFINITY,
        "type": "json",
        "source": "url",
        "format": "table",
        "parser": "backend",
        "url": url,
        "url_options": {"method": "GET"},
        "root_selector": root,
        "columns": [{"selector": name, "text": text, "type": _type_of(name)} for name, text in columns.items()],
    }
    return {
        "type": "table",
        "title": title,
        "description": description,
        "datasource": INFINITY,
        "gridPos": {"w": WIDTH, "h": height},
        "targets": [target],
        "fieldConfig": {"defaults": {"unit": "none"}, "overrides": [_linked(*link)] if link else []},
        "options": {"showHeader": True},
    }


def textbox(name: str, label: str) -> Json:
    """A variable that is typed in; empty at first."""
    return {"name": name, "label": label, "type": "textbox", "query": "", "current": {"text": "", "value": ""}}


def _type_of(field_name: str) -> str:
    if field_name == "at" or field_name.endswith("_at"):
        return "timestamp"
    return "number" if field_name in ("attempt", "progress") or field_name.endswith("_tokens") else "string"


def _linked(heading: str, url: str) -> Json:
    links = [{"title": "Show it", "url": url, "targetBlank": False}]
    return {"matcher": {"id": "byName", "options": heading}, "properties": [{"id": "links", "value": links}]}


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: rows of panels under headings."""

    name: str
    title: str
    description: str
    rows: dict[str, list[Json]]
    variables: tuple[Json, ...] = ()
    instances_of: str = ""
    refresh: str = "30s"
    tags: tuple[str, ...] = field(default=("afterbell",))

    def as_json(self) -> Json:
        """The whole dashboard."""
        variables = [_DATASOURCE, *_SCOPE, *_instances(self.instances_of), *self.variables]
        return {
            "uid": f"afterbell-{self.name}",
            "title": f"Afterbell / {self.title}",
            "description": self.description,
            "tags": list(self.tags),
            "schemaVersion": 41,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": self.refresh,
            "time": {"from": "now-3h", "to": "now"},
            "links": _LINKS,
            "annotations": {"list": _ANNOTATIONS},
            "templating": {"list": variables},
            "panels": list(self._placed()),
        }

    def _placed(self) -> list[Json]:
        placed: list[Json] = []
        y = 0
        for heading, panels in self.rows.items():
            placed.append(
                {
                    "type": "row",
                    "title": heading,
                    "collapsed": False,
                    "panels": [],
                    "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
                }
            )
            y, x, tallest = y + 1, 0, 0
            for panel in panels:
                width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
                if x + width > WIDTH:
                    y, x, tallest = y + tallest, 0, 0
                placed.append(
                    _narrowed(panel, by_instance=bool(self.instances_of))
                    | {"gridPos": {"x": x, "y": y, "w": width, "h": height}}
                )
                x, tallest = x + width, max(tallest, height)
            y += tallest
        return [{"id": number, **panel} for number, panel in enumerate(placed, start=1)]


def query_variable(name: str, label: str, query: str) -> Json:
    """Values of a label, several at once, all of them at first. ``All`` matches a missing label as well."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def scoped(query: str, *, by_instance: bool = False) -> str:
    """The query with the variables' matchers in every selector of ours."""
    scope = _MATCHERS + (', instance=~"$instance"' if by_instance else "")
    return _METRIC.sub(lambda match: f"{match[1]}{{{scope}{f', {match[2]}' if match[2] else ''}}}", query)


def _instances(process: str) -> list[Json]:
    """Which of the processes of one kind, where a board shows them apart."""
    selector = f'afterbell_build_info{{{_MATCHERS}, process="{process}"}}'
    return [query_variable("instance", "Instance", f"label_values({selector}, instance)")] if process else []


def _narrowed(panel: Json, *, by_instance: bool) -> Json:
    if panel["datasource"] is not SOURCE:
        return panel
    targets = [target | {"expr": scoped(target["expr"], by_instance=by_instance)} for target in panel["targets"]]
    return panel | {"targets": targets}


def _target(number: int, legend: str, query: str) -> Json:
    return {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}


def _annotation(name: str, color: str, query: str, title: str) -> Json:
    return {
        "name": name,
        "enable": True,
        "iconColor": color,
        "datasource": SOURCE,
        "expr": query,
        "titleFormat": title,
        "step": "60s",
    }


_MATCHERS: Final = 'namespace=~"$namespace", job=~"$job"'
_OPTIONS: Final[dict[str, Json]] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
}
_DATASOURCE: Final = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
INFINITY_VARIABLE: Final = {
    "name": "infinity",
    "label": "Admin API (Infinity)",
    "type": "datasource",
    "query": "yesoreyeram-infinity-datasource",
}
_SCOPE: Final = (
    query_variable("namespace", "Namespace", "label_values(afterbell_build_info, namespace)"),
    query_variable("job", "Job", 'label_values(afterbell_build_info{namespace=~"$namespace"}, job)'),
)
_LINKS: Final = [
    {
        "type": "dashboards",
        "title": "Afterbell",
        "tags": ["afterbell"],
        "asDropdown": True,
        "keepTime": True,
        "includeVars": True,
    },
    {"type": "link", "title": "What each metric means", "url": f"{DOCS}/reference/metrics.md", "targetBlank": True},
]
_ANNOTATIONS: Final = [
    _annotation(
        "Scaling",
        "blue",
        scoped("sum by (direction, reason) (increase(afterbell_operator_scale_events_total[1m])) > 0"),
        "scaled {{direction}}: {{reason}}",
    ),
    _annotation(
        "Deploys",
        "purple",
        scoped("count by (version) (afterbell_build_info)")
        + " unless on (version) "
        + scoped("count by (version) (afterbell_build_info offset 5m)"),
        "version {{version}}",
    ),
    _annotation("Alerts", "red", 'ALERTS{alertname=~"Afterbell.*", alertstate="firing"}', "{{alertname}}"),
]
