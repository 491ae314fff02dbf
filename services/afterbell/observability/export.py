"""Sends spans to an OpenTelemetry collector if one is configured; otherwise none of the SDK is imported."""

from collections.abc import Iterator
from contextlib import contextmanager

from afterbell.core.errors import SettingsError
from afterbell.observability.spans import sent_to
from afterbell.settings import TelemetrySettings


@contextmanager
def exporting(settings: TelemetrySettings, service: str) -> Iterator[None]:
    """Export every span that ends in the block, named ``service``; the last ones when it ends.

    Raises SettingsError if a collector is configured and the extra ``otel`` is not installed.
    """
    if not settings.exports_spans:
        yield
        return
    try:
        from afterbell.observability.otel import Exporter
    except ModuleNotFoundError as missing:
        text = f"a collector is configured but {missing.name} is not installed: pip install 'afterbell[otel]'"
        raise SettingsError(text, field="OTEL_EXPORTER_OTLP_ENDPOINT") from None
    exporter = Exporter(service)
    try:
        with sent_to(exporter.send):
            yield
    finally:
        exporter.close()
