"""Fixtures and settings every folder of tests may use."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.cluster", "tests.support.engines", "tests.support.promises"]

# How long an example takes is a matter of the machine; the rest is Hypothesis's own profile, where CI has another.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
