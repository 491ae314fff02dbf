"""Settings of the OpenTelemetry export, by the standard's own names. The SDK reads the others by itself."""

from pydantic import Field

from afterbell.settings.group import SettingsGroup


class TelemetrySettings(SettingsGroup):
    """Where spans are sent."""

    otlp_endpoint: str | None = Field(
        None,
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="OTLP/HTTP collector that spans are sent to; needs the extra `otel`; empty: none are made",
    )
    otlp_traces_endpoint: str | None = Field(
        None, alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", description="the same for spans alone, with its whole path"
    )
    otel_disabled: bool = Field(False, alias="OTEL_SDK_DISABLED", description="true: no span is sent in any case")

    @property
    def exports_spans(self) -> bool:
        """Whether a collector is named."""
        return bool(self.otlp_endpoint or self.otlp_traces_endpoint) and not self.otel_disabled
