"""What an operator may set about models; names from the requirements are kept."""

from datetime import date

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr

from services.kernel.llm.catalogue import CHAINS, MODELS, Catalogue, Limits, Model, Purpose
from services.kernel.settings import ServiceSettings


class ModelLimits(BaseModel):
    """What ``QC_MODEL_LIMITS`` says of one model; fields left out keep the catalogue's value."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    requests_per_day: int | None = Field(default=None, ge=1)
    ends_on: date | None = None


class LlmSettings(ServiceSettings):
    """``GEMINI_MODEL_<PURPOSE>`` replaces that purpose's chain: one model, or several separated by commas, best first.
    ``GOOGLE_GEMINI_BASE_URL`` is read by google-genai itself."""

    gemini_api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("gemini_api_key", "GEMINI_API_KEY")
    )
    """Empty: no model is ever asked and every answer is the offline one."""

    gemini_model_problem: str = Field(
        default="", validation_alias=AliasChoices("gemini_model_problem", "GEMINI_MODEL_PROBLEM")
    )
    gemini_model_grading: str = Field(
        default="", validation_alias=AliasChoices("gemini_model_grading", "GEMINI_MODEL_GRADING")
    )
    gemini_model_tips: str = Field(default="", validation_alias=AliasChoices("gemini_model_tips", "GEMINI_MODEL_TIPS"))
    gemini_model_hints: str = Field(
        default="", validation_alias=AliasChoices("gemini_model_hints", "GEMINI_MODEL_HINTS")
    )
    gemini_model_error: str = Field(
        default="", validation_alias=AliasChoices("gemini_model_error", "GEMINI_MODEL_ERROR")
    )
    gemini_model_examples: str = Field(
        default="", validation_alias=AliasChoices("gemini_model_examples", "GEMINI_MODEL_EXAMPLES")
    )
    gemini_model_triage: str = Field(
        default="", validation_alias=AliasChoices("gemini_model_triage", "GEMINI_MODEL_TRIAGE")
    )

    model_limits: dict[str, ModelLimits] = Field(default_factory=dict)
    """JSON: model name -> limits and end date, for models and paid plans the catalogue does not know."""
    model_share: float = Field(default=1.0, gt=0, le=1)
    """This service's part of every limit. Services keep their own ledgers and share one project's quota with the
    provider: the parts of those that ask models add up to 1 at most."""
    model_timeout_seconds: float = Field(default=60.0, gt=0, le=600)
    """One call, from sending to the whole answer."""
    model_patience_seconds: float = Field(default=65.0, ge=0)
    """How long a call may wait for a per-minute quota before the next model is asked."""

    def catalogue(self) -> Catalogue:
        """The catalogue with this deployment's chains, limits and share.

        Raises:
            ConfigurationError: a chain names a model without limits.
        """
        models = dict(MODELS)
        for name, stated in self.model_limits.items():
            models[name] = _with(models.get(name), name, stated)
        chains = {purpose: self._chain_of(purpose) or CHAINS[purpose] for purpose in Purpose}
        shared = {
            name: Model(name, model.limits.share(self.model_share), model.ends_on, model.listed)
            for name, model in models.items()
        }
        return Catalogue(shared, chains)

    def _chain_of(self, purpose: Purpose) -> tuple[str, ...]:
        stated: str = getattr(self, f"gemini_model_{purpose.value}")
        return tuple(dict.fromkeys(name.strip() for name in stated.split(",") if name.strip()))


_NEW = Limits(10, 250_000, 500)


def _with(known: Model | None, name: str, stated: ModelLimits) -> Model:
    base = known.limits if known is not None else _NEW
    limits = Limits(
        stated.requests_per_minute or base.requests_per_minute,
        stated.tokens_per_minute or base.tokens_per_minute,
        stated.requests_per_day or base.requests_per_day,
    )
    return Model(name, limits, stated.ends_on or (known.ends_on if known is not None else None))
