"""The service's own connections to Postgres."""

import asyncpg

from services.kernel.settings import ServiceSettings

OUTAGE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""Errors that say the database is out of reach, not that the work was wrong."""


async def open_pool(service: str, settings: ServiceSettings, *, size: int | None = None) -> asyncpg.Pool:
    """A pool for ``service``; the schema of the same name comes first on its role's search path.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role.
    """
    most = size or settings.database_pool_size
    return await asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        min_size=min(2, most),
        max_size=most,
        statement_cache_size=settings.database_statement_cache,
        max_cached_statement_lifetime=0,
        command_timeout=60,
        server_settings={"application_name": f"querycraft-{service}"},
    )
