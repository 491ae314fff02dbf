"""What every group of settings is: frozen, read from the environment, silent about its values."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsGroup(BaseSettings):
    """A group of settings."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        env_ignore_empty=True,  # a chart or a compose file sets a variable it has no value for to nothing
    )
