"""Settings that make no sense are refused by name before anything is started, and no value of a secret is shown."""

from collections.abc import Callable

import pytest
from tests.support.attacks import Attack

from afterbell.core.errors import SettingsError
from afterbell.settings import (
    DEVELOPMENT_SECRET,
    ApiSettings,
    ProcessSettings,
    WorkerSettings,
    read,
    required,
    unknown_names,
)
from afterbell.settings.environment import RENAMED, unknown

SECRET = "s3cret-s3cret-s3cret-s3cret-s3cret-s3cret"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("AFTERBELL_INTERNAL_PORT", "-1"),
        ("AFTERBELL_DATABASE_POOL", "0"),
        ("AFTERBELL_DATABASE_POOL", "ten"),
        ("AFTERBELL_LEASE_SECONDS", "nan"),
        ("AFTERBELL_STARTS_WINDOW_SECONDS", "inf"),
        ("AFTERBELL_STARTS_WINDOW_SECONDS", "0"),
        ("AFTERBELL_STARTS_PER_WINDOW", "1.5"),
        ("AFTERBELL_RETRY_BACKOFF_SECONDS", "2,four"),
        ("AFTERBELL_RETRY_BACKOFF_SECONDS", "2,-4"),
        ("AFTERBELL_RETRY_BACKOFF_SECONDS", "inf"),
        ("AFTERBELL_QUEUE", "Reports Of Mine"),
        ("AFTERBELL_QUEUE", "a}b"),
        ("AFTERBELL_BODY_BYTES_MAX", "2MB"),
        ("AFTERBELL_SWEEP_SECONDS", "0"),
        ("APP_ENV", "staging"),
        ("AFTERBELL_LOG_LEVEL", "loud"),
        ("AFTERBELL_LOG_FORMAT", "xml"),
        ("AFTERBELL_JWT_SECRET", "s3cret"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as refused:
        read(ApiSettings)
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value) + repr(refused.value)


def test_a_worker_names_its_settings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERBELL_WORKER_CONCURRENCY", "0")
    with pytest.raises(SettingsError, match="AFTERBELL_WORKER_CONCURRENCY"):
        read(WorkerSettings)


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (
        "REDIS_URL",
        "DATABASE_URL",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "AFTERBELL_JWT_AUDIENCE",
        "PORT",
    ):
        monkeypatch.setenv(variable, "")
    api, worker = read(ApiSettings), read(WorkerSettings)
    assert (api.redis_url, api.database_url, api.jwt_audience) == (None, None, None)
    assert (worker.api_key, worker.base_url, api.port) == (None, None, 5000)
    with pytest.raises(SettingsError, match="REDIS_URL is not set"):
        required(api.redis_url, "REDIS_URL")


def test_no_secret_is_in_the_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REDIS_URL", "DATABASE_URL", "OPENAI_API_KEY", "AFTERBELL_JWT_SECRET"):
        monkeypatch.setenv(variable, SECRET)
    for group in (ApiSettings, WorkerSettings):
        settings = read(group)
        assert "s3cret" not in str(settings) + repr(settings) + settings.model_dump_json()


def test_the_back_offs_are_read_from_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERBELL_RETRY_BACKOFF_SECONDS", "1, 0.5,3")
    assert read(ApiSettings).retry_backoff_s == (1.0, 0.5, 3.0)


def test_production_refuses_the_development_secret_and_listens_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    with pytest.raises(SettingsError, match="AFTERBELL_JWT_SECRET is the development secret"):
        read(ApiSettings)
    assert read(ApiSettings, jwt_secret=SECRET).bind == "0.0.0.0"  # noqa: S104
    assert read(ProcessSettings).log_style == "json"
    monkeypatch.setenv("APP_ENV", "development")
    settings = read(ApiSettings)
    assert (settings.bind, settings.jwt_secret.get_secret_value()) == ("127.0.0.1", DEVELOPMENT_SECRET)


OTHER = SECRET[::-1]
PRODUCTION = {"APP_ENV": "production", "AFTERBELL_JWT_SECRET": SECRET}
OPEN = {"AFTERBELL_HOST": "0.0.0.0"}  # noqa: S104
JWKS = {"APP_ENV": "production", "AFTERBELL_JWKS_URL": "https://platform.example/keys"}
UNPROTECTED: list[tuple[str, dict[str, str], str]] = [
    ("no APP_ENV beyond loopback", OPEN, "AFTERBELL_JWT_SECRET is the development secret"),
    ("no APP_ENV, public admin", OPEN | {"AFTERBELL_JWT_SECRET": SECRET}, "AFTERBELL_ADMIN_SECRET is the development"),
    ("NODE_ENV=production", {"NODE_ENV": "production"}, "AFTERBELL_JWT_SECRET is the development secret"),
    ("NODE_ENV=staging", {"NODE_ENV": "staging"}, "NODE_ENV"),
    ("two environments", {"NODE_ENV": "production", "APP_ENV": "development"}, "NODE_ENV says production"),
    (
        "public admin secret",
        PRODUCTION | {"AFTERBELL_ADMIN_SECRET": DEVELOPMENT_SECRET},
        "AFTERBELL_ADMIN_SECRET is the",
    ),
    ("short admin secret", PRODUCTION | {"AFTERBELL_ADMIN_SECRET": "short"}, "AFTERBELL_ADMIN_SECRET is shorter"),
    ("admin secret = JWT secret", PRODUCTION | {"AFTERBELL_ADMIN_SECRET": SECRET}, "the same as AFTERBELL_JWT_SECRET"),
    ("a pattern", PRODUCTION | {"AFTERBELL_JWT_SECRET": "ab" * 20}, "repeats a few characters"),
    (
        "public previous",
        PRODUCTION | {"AFTERBELL_JWT_SECRET_PREVIOUS": DEVELOPMENT_SECRET},
        "PREVIOUS is the development",
    ),
    (
        "previous admin secret = JWT secret",
        PRODUCTION | {"AFTERBELL_ADMIN_SECRET": OTHER, "AFTERBELL_ADMIN_SECRET_PREVIOUS": SECRET},
        "AFTERBELL_ADMIN_SECRET_PREVIOUS is the same as AFTERBELL_JWT_SECRET",
    ),
    ("shared keys without audience", JWKS, "AFTERBELL_JWT_AUDIENCE is not set"),
]


REFUSED_BEFORE = {"short admin secret"}


@pytest.mark.edge
@pytest.mark.parametrize(("name", "environment", "said"), UNPROTECTED, ids=[name for name, *_ in UNPROTECTED])
def test_an_api_whose_secrets_protect_nothing_does_not_start(
    name: str,
    environment: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    attacked: Callable[[Attack], None],
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=said) as refused:
        read(ApiSettings)
    assert SECRET not in str(refused.value)
    attacked(Attack(f"settings: {name}", "refused" if name in REFUSED_BEFORE else "started", "does not start"))


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"AFTERBELL_HOST": "127.0.0.9"},
        {"AFTERBELL_HOST": "::1"},
        OPEN | {"APP_ENV": "development"},
        OPEN | {"AFTERBELL_JWT_SECRET": SECRET, "AFTERBELL_ADMIN_SECRET": OTHER},
        PRODUCTION,
        PRODUCTION | {"AFTERBELL_ADMIN_SECRET": OTHER},
        {"NODE_ENV": "production", "AFTERBELL_JWT_SECRET": SECRET},
        {"NODE_ENV": "test"},
        JWKS | {"AFTERBELL_JWT_AUDIENCE": "afterbell"},
        JWKS | {"AFTERBELL_JWT_AUDIENCE": "*"},
    ],
)
def test_an_api_that_is_told_what_it_is_or_is_alone_starts(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = read(ApiSettings)
    assert settings.production == ("production" in (environment.get("APP_ENV"), environment.get("NODE_ENV")))


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_setting_is_refused_with_its_new_name(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    monkeypatch.setenv(old, "3")
    with pytest.raises(SettingsError, match=f"{old} was renamed to {new}"):
        read(WorkerSettings)


def test_every_renamed_setting_leads_to_one_that_exists() -> None:
    known = {str(field.alias) for group in (ApiSettings, WorkerSettings) for field in group.model_fields.values()}
    assert set(RENAMED.values()) <= known
    assert not known & set(RENAMED)


def test_a_misspelled_setting_is_reported_with_the_name_it_may_have_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERBELL_STARTS_PER_WINDO", "3")
    monkeypatch.setenv("AFTERBELL_NOTHING_LIKE_IT", "3")
    assert ("AFTERBELL_STARTS_PER_WINDO", "AFTERBELL_STARTS_PER_WINDOW") in unknown_names()
    assert ("AFTERBELL_NOTHING_LIKE_IT", None) in unknown_names()


def test_what_kubernetes_says_of_its_services_is_no_misspelled_setting() -> None:
    links = ("AFTERBELL_API_SERVICE_HOST", "AFTERBELL_API_PORT", "AFTERBELL_API_PORT_5000_TCP_ADDR")
    assert list(unknown(dict.fromkeys(links, "x"), ())) == []
