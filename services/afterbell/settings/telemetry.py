"""Settings of the OpenTelemetry export, by the standard's own names. The SDK reads the others by itself."""

from pydantic import Field

from afterbell.settings.group import SettingsGroup


class TelemetrySettings(SettingsGroup):
    """Export of traces."""

    otlp_endpoint: str | None = Field(
        None,
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="OTLP/HTTP collector that receives the spans; needs the extra `otel`; empty = no spans",
    )
    otlp_traces_endpoint: str | None = Field(
        None, alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", description="collector for spans only, with the full path"
    )
    otel_disabled: bool = Field(False, alias="OTEL_SDK_DISABLED", description="true disables all spans")

    @property
    def exports_spans(self) -> bool:
        """Whether a collector is named."""
        return bool(self.otlp_endpoint or self.otlp_traces_endpoint) and not self.otel_disabled
