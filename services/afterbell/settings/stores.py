"""Settings of the stores: PostgreSQL and Redis."""

from pathlib import Path

from pydantic import Field, SecretStr

from afterbell.settings.group import SettingsGroup


class StoreSettings(SettingsGroup):
    """PostgreSQL and Redis. If empty in development, private engines are started."""

    redis_url: SecretStr | None = Field(
        None,
        alias="REDIS_URL",
        description="redis://, rediss:// or unix:// URL of the queue; empty starts a private Valkey in development",
    )
    database_url: SecretStr | None = Field(
        None,
        alias="DATABASE_URL",
        description="postgresql:// URL of the database; empty starts a private PostgreSQL in development",
    )
    database_pool: int = Field(
        10,
        ge=1,
        le=100,
        alias="AFTERBELL_DATABASE_POOL",
        description="maximum PostgreSQL connections per process",
    )
    statement_timeout_s: float = Field(
        10,
        ge=1,
        le=600,
        alias="AFTERBELL_STATEMENT_TIMEOUT_SECONDS",
        description="a PostgreSQL statement is cancelled after this; migrations have no limit, retention has its own",
    )
    lock_timeout_s: float = Field(
        8,
        ge=1,
        le=600,
        alias="AFTERBELL_LOCK_TIMEOUT_SECONDS",
        description="a PostgreSQL statement that waits for a lock gives up after this",
    )
    idle_transaction_s: float = Field(
        5,
        ge=1,
        le=600,
        alias="AFTERBELL_IDLE_TRANSACTION_SECONDS",
        description="PostgreSQL ends a transaction whose process has said nothing for this long, and frees its locks; "
        "keep it below the lock timeout",
    )
    client_check_s: float = Field(
        5,
        ge=0,
        le=600,
        alias="AFTERBELL_CLIENT_CHECK_SECONDS",
        description="how often PostgreSQL checks, during a statement, that its client is still connected; 0 = never, "
        "for a server that does not run on Linux",
    )
    data_dir: Path = Field(
        Path(".afterbell"), alias="AFTERBELL_DATA_DIR", description="directory of the private engines"
    )
