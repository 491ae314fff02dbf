"""The whole platform in one process on this machine: engines, tables, model (or its stub), api and worker."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from afterbell.adapters.db.database import Database
from afterbell.adapters.db.migrate import upgrade
from afterbell.api import main as api
from afterbell.core.report.report import STUB_MODEL
from afterbell.dev.engines.engines import engines
from afterbell.dev.stub import app as stub
from afterbell.dev.stub.settings import PACES
from afterbell.serving import LOOPBACK, bind, port_of
from afterbell.settings import ApiSettings, ModelSettings, StoreSettings, WorkerSettings, read, required
from afterbell.worker import main as worker


@dataclass(frozen=True, slots=True)
class Platform:
    """What is up, for people to read: of each part its name, and where it is or how to have another."""

    api_url: str
    internal_url: str
    redis: tuple[str, str]
    database: tuple[str, str]
    model: tuple[str, str]


@contextmanager
def stores(settings: StoreSettings) -> Iterator[StoreSettings]:
    """The settings with both URLs set: the configured ones, or those of private engines started for the block."""
    with engines(settings.data_dir, redis=settings.redis_url is None, postgres=settings.database_url is None) as urls:
        yield settings.model_copy(
            update={
                "redis_url": settings.redis_url or SecretStr(urls.redis_url or ""),
                "database_url": settings.database_url or SecretStr(urls.database_url or ""),
            }
        )


@asynccontextmanager
async def platform(settings: StoreSettings, *, port: int | None, pace: str) -> AsyncIterator[Platform]:
    """Run api and worker on the stores of ``settings`` until the block ends. ``port`` None: the configured one."""
    urls = {"redis_url": settings.redis_url, "database_url": settings.database_url}
    async with AsyncExitStack() as stack:
        await _migrate(required(settings.database_url, "DATABASE_URL"))
        model = await _model_or_stub(stack, pace)
        free_ports = {} if port is None else {"port": port, "internal_port": 0}
        api_settings = read(ApiSettings, **urls, **free_ports)
        up = await stack.enter_async_context(api.running(api_settings))
        worker_settings = read(WorkerSettings, **urls, api_key=model.api_key, base_url=model.base_url, model=model.name)
        await stack.enter_async_context(worker.running(worker_settings))
        here = f"in {settings.data_dir}"
        yield Platform(
            api_url=f"http://{LOOPBACK}:{up.port}",
            internal_url=f"http://{LOOPBACK}:{up.internal_port}",
            redis=("REDIS_URL", "") if read(StoreSettings).redis_url else ("private Valkey", here),
            database=("DATABASE_URL", "") if read(StoreSettings).database_url else ("private PostgreSQL", here),
            model=model.described,
        )


@dataclass(frozen=True, slots=True)
class _Model:
    name: str
    api_key: SecretStr
    base_url: str | None
    described: tuple[str, str]


async def _migrate(url: str) -> None:
    database = Database(url, pool_size=1, patience_s=None)
    try:
        await upgrade(database)
    finally:
        await database.close()


async def _model_or_stub(stack: AsyncExitStack, pace: str) -> _Model:
    settings = read(ModelSettings)
    if settings.api_key is not None:
        where = settings.base_url or "OpenAI"
        return _Model(settings.model, settings.api_key, settings.base_url, (settings.model, f"at {where}"))
    listening = bind(LOOPBACK, 0, variable="OPENAI_BASE_URL")
    await stack.enter_async_context(stub.serving(PACES[pace], listening))
    base_url = f"http://{LOOPBACK}:{port_of(listening)}/v1"
    return _Model(
        STUB_MODEL, SecretStr(secrets.token_hex(8)), base_url, ("a bundled stub", "OPENAI_API_KEY sets a real one")
    )
