"""Fixtures every folder of tests may use."""

pytest_plugins = ["tests.support.cluster", "tests.support.engines", "tests.support.promises"]
