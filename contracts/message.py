"""The base of every message: one class per (type, version), JSON on the wire.

Fields avoid null so that the Avro JSON encoding used by the topic schemas is
plain JSON: what is absent is an empty string, a zero or an empty list. Free-form
content travels as JSON text in a ``JsonText`` field.
"""

import json
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

EVENT_TYPE_PREFIX = "querycraft."


def _must_be_json(text: str) -> str:
    try:
        json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return text


JsonText = Annotated[
    str, AfterValidator(_must_be_json), Field(json_schema_extra={"contentMediaType": "application/json"})
]
"""A string that holds one JSON document."""

Long = Annotated[int, Field(le=2**63 - 1)]
"""An integer that fits the topic schemas' 64 bits, with the lower bound of its field: a larger
one is refused where it is made."""


class Record(BaseModel):
    """A value inside a message. Unknown fields are ignored: a newer revision may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Record):
    """A fact or a request that one service tells the others.

    ``NAME`` and ``VERSION`` give the CloudEvents type (``querycraft.job.requested.v1``)
    and the topic (``job-requested.v1``). ``REVISION`` counts compatible schema
    revisions of the same topic, starting at 1.
    """

    NAME: ClassVar[str]
    VERSION: ClassVar[int] = 1
    REVISION: ClassVar[int] = 1
    FILTERABLE: ClassVar[tuple[str, ...]] = ()
    """Fields copied into message attributes, where subscriptions can filter on them."""
    SUBJECT: ClassVar[str]
    """The field that identifies what the message is about (``ce-subject``)."""

    @classmethod
    def event_type(cls) -> str:
        return f"{EVENT_TYPE_PREFIX}{cls.NAME}.v{cls.VERSION}"

    @classmethod
    def topic(cls) -> str:
        return f"{cls.NAME.replace('.', '-')}.v{cls.VERSION}"

    @property
    def subject(self) -> str:
        return str(getattr(self, self.SUBJECT))

    def filter_attributes(self) -> dict[str, str]:
        return {name: str(getattr(self, name)) for name in self.FILTERABLE}

    def to_bytes(self) -> bytes:
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode the UTF-8 JSON of this version, any revision.

        Strict, as the topic's Avro schema is: ``"2"`` is no integer and ``"yes"`` no boolean.

        Raises:
            pydantic.ValidationError: the bytes are not this message.
        """
        return cls.model_validate_json(data, strict=True)


def json_text(value: Any) -> str:
    """Compact JSON of ``value``, not ASCII-escaped, for a ``JsonText`` field."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
