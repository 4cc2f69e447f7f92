"""Every message, topic and subscription together, and where their files are kept."""

import importlib
import inspect
import json
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contracts
from contracts.manifest import SUBSCRIPTIONS, TOPICS, Subscription, Topic
from contracts.message import Message

Json = dict[str, Any]

REPOSITORY = Path(contracts.__file__).parent.parent


@dataclass(frozen=True)
class Golden:
    """One example message: ``attributes`` as on the wire, ``data`` as the decoded JSON object."""

    attributes: dict[str, str]
    data: Json

    @property
    def data_bytes(self) -> bytes:
        return json.dumps(self.data, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Catalog:
    """The declared contracts; ``root`` is the directory that holds ``contracts/`` and ``terraform/``."""

    messages: tuple[type[Message], ...]
    topics: tuple[Topic, ...]
    subscriptions: tuple[Subscription, ...]
    root: Path = REPOSITORY

    @property
    def schemas(self) -> Path:
        return self.root / "contracts/schemas"

    @property
    def digests(self) -> Path:
        return self.schemas / "digests.json"

    @property
    def asyncapi(self) -> Path:
        return self.root / "contracts/asyncapi.json"

    @property
    def tfvars(self) -> Path:
        return self.root / "terraform/manifest.auto.tfvars.json"

    def golden(self, message: type[Message], revision: int) -> Path:
        return self.root / f"contracts/golden/{message.NAME}.v{message.VERSION}/r{revision}.json"

    def avro(self, message: type[Message], revision: int) -> Path:
        return self.schemas / f"avro/{message.topic()}.r{revision}.avsc"

    def json_schema(self, message: type[Message], revision: int) -> Path:
        return self.schemas / f"json/{message.topic()}.r{revision}.json"

    def where(self, path: Path) -> str:
        """``path`` as a person at the root of the repository would type it."""
        return path.relative_to(self.root).as_posix()


def declared() -> Catalog:
    """The catalog of this repository."""
    return Catalog(messages=_messages_in_modules(), topics=TOPICS, subscriptions=SUBSCRIPTIONS)


def _messages_in_modules() -> tuple[type[Message], ...]:
    """Every message class of the modules directly under ``contracts``, by name and version.

    Read from the modules and not from the manifest, so that a message the manifest forgot is found.
    """
    found: set[type[Message]] = set()
    for info in pkgutil.iter_modules(contracts.__path__, "contracts."):
        if info.ispkg:
            continue
        module = importlib.import_module(info.name)
        found |= {
            member
            for _, member in inspect.getmembers(module, inspect.isclass)
            if issubclass(member, Message) and member is not Message
        }
    return tuple(sorted(found, key=lambda message: (message.NAME, message.VERSION)))


def revisions(message: type[Message]) -> range:
    """Every revision of ``message``, oldest first; the last one is the model as it is now."""
    return range(1, message.REVISION + 1)


def read_json(path: Path) -> Json:
    """Raises FileNotFoundError, or ValueError naming the file when it is not a JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}, not a JSON object")  # noqa: TRY004
    return content


def read_golden(path: Path) -> Golden:
    """Raises FileNotFoundError, or ValueError naming the file when it is not ``{attributes, data}``."""
    content = read_json(path)
    if set(content) != {"attributes", "data"}:
        raise ValueError(f"{path} must hold exactly 'attributes' and 'data', not {sorted(content)}")
    return Golden(attributes=content["attributes"], data=content["data"])


def to_text(content: Json) -> str:
    """The one way exports are written: the same content always gives the same bytes."""
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
