"""The models that are asked, in this order, as the settings name them."""

from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from afterbell.adapters.models.chat_completions import ChatClient
from afterbell.adapters.models.model_client import ModelClient
from afterbell.adapters.models.profiles import PROFILES, Profile
from afterbell.adapters.models.responses import ResponsesClient
from afterbell.core.errors import SettingsError
from afterbell.settings.model_calls import ModelSettings, ProfileName

_CLIENTS: Final[dict[str, type[ResponsesClient] | type[ChatClient]]] = {
    "responses": ResponsesClient,
    "chat": ChatClient,
}


def chain_of(settings: ModelSettings) -> list[ModelClient]:
    """The model, and the fallback where there is one. Raises SettingsError for a key or address that cannot be used."""
    if settings.api_key is None:
        raise SettingsError(
            "OPENAI_API_KEY is not set: give the provider's key, or run `afterbell dev`, which brings a stub model",
            field="OPENAI_API_KEY",
        )
    primary = settings.api_key, settings.base_url, settings.llm_api, settings.profile
    chain = [_client(settings, settings.model, *primary)]
    if settings.fallback_model is not None:
        key, base_url, api, profile = primary
        chain.append(
            _client(
                settings,
                settings.fallback_model,
                settings.fallback_api_key or key,
                settings.fallback_base_url or base_url,
                settings.fallback_llm_api or api,
                settings.fallback_profile or profile,
            )
        )
    return chain


def _client(
    settings: ModelSettings, model: str, key: SecretStr, base_url: str | None, api: str, profile: ProfileName
) -> ModelClient:
    return _CLIENTS[api](
        api_key=key.get_secret_value(),
        base_url=base_url,
        model=model,
        attempt_timeout_s=settings.attempt_timeout_s,
        max_output_tokens=settings.output_tokens_max,
        profile=_tuned(PROFILES[profile], settings),
    )


def _tuned(profile: Profile, settings: ModelSettings) -> Profile:
    return replace(
        profile,
        structure=settings.structured_output or profile.structure,
        temperature=settings.temperature,
        reasoning_effort=settings.reasoning_effort,
    )
