"""What a ``bootstrap`` builds to ask models. Without a key google-genai is not even imported."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from services.kernel.database.unit_of_work import Database
from services.kernel.llm.call_log import PostgresCallLog
from services.kernel.llm.calling import AccountedCalls
from services.kernel.llm.catalogue import Catalogue
from services.kernel.llm.client import ModelClient
from services.kernel.llm.ledger import QuotaLedger
from services.kernel.llm.router import Manners, ModelRouter
from services.kernel.llm.settings import LlmSettings

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Models:
    router: ModelRouter
    ledger: QuotaLedger
    catalogue: Catalogue
    client: ModelClient | None

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()


def open_models(settings: LlmSettings, database: Database) -> Models:
    """The service's own schema must have the tables of ``tables.LLM`` and ``worker_logs``.

    Raises:
        ConfigurationError: a purpose names a model without limits.
    """
    catalogue = settings.catalogue()
    ledger, log = QuotaLedger(database), PostgresCallLog(database)
    client = _client(settings.gemini_api_key.get_secret_value())
    calls = None if client is None else AccountedCalls(client, ledger, log)
    manners = Manners(settings.model_timeout_seconds, settings.model_patience_seconds)
    return Models(ModelRouter(catalogue, calls, log, manners), ledger, catalogue, client)


def _client(api_key: str) -> ModelClient | None:
    if not api_key:
        _logger.info("GEMINI_API_KEY is not set: every answer is the offline one", extra={"action": "model.no_key"})
        return None
    from services.kernel.llm.gemini import GeminiClient

    return GeminiClient(api_key)
