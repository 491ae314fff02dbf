"""Grafana dashboards from code."""
