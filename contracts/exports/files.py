"""Every generated file with the text it should hold."""

import hashlib
import json
from pathlib import Path
from typing import Any

from contracts.exports.asyncapi import asyncapi
from contracts.exports.avro import avro_schema
from contracts.exports.catalog import Catalog, Json, read_json, revisions, to_text
from contracts.exports.json_schema import json_schema
from contracts.exports.tfvars import tfvars
from contracts.message import Message

_TEXTS = frozenset({"title", "description", "doc", "examples"})

Digests = dict[str, dict[str, dict[str, str]]]


def schema_files(catalog: Catalog) -> dict[Path, str]:
    """The schemas of every message's current revision; those of older ones are never written again."""
    files = {}
    for message in catalog.messages:
        files[catalog.avro(message, message.REVISION)] = to_text(avro_schema(message))
        files[catalog.json_schema(message, message.REVISION)] = to_text(json_schema(message))
    return files


def generated_files(catalog: Catalog) -> dict[Path, str]:
    """Everything ``export`` writes except the digests, which depend on what it wrote."""
    return {
        **schema_files(catalog),
        catalog.asyncapi: to_text(asyncapi(catalog)),
        catalog.tfvars: to_text(tfvars(catalog)),
    }


def shape_digest(schema: Json) -> str:
    """SHA-256 of what ``schema`` accepts; titles and descriptions may be improved freely."""
    canonical = json.dumps(_without_texts(schema), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def content_digest(content: Json) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def updated_digests(catalog: Catalog) -> Digests:
    """The recorded digests, plus those of files that have none yet. What is recorded stays as it is."""
    recorded = recorded_digests(catalog)
    return {
        message.topic(): {
            f"r{revision}": {
                **_digests_of_revision(catalog, message, revision),
                **recorded.get(message.topic(), {}).get(f"r{revision}", {}),
            }
            for revision in revisions(message)
        }
        for message in catalog.messages
    }


def _digests_of_revision(catalog: Catalog, message: type[Message], revision: int) -> dict[str, str]:
    schemas = {"avro": catalog.avro(message, revision), "json": catalog.json_schema(message, revision)}
    digests = {kind: shape_digest(read_json(path)) for kind, path in schemas.items() if path.exists()}
    golden = catalog.golden(message, revision)
    # The current example may still be made better; a superseded one is evidence.
    if revision < message.REVISION and golden.exists():
        digests["golden"] = content_digest(read_json(golden))
    return digests


def recorded_digests(catalog: Catalog) -> Digests:
    """What earlier exports recorded, by topic and revision; empty before the first export."""
    return read_json(catalog.digests) if catalog.digests.exists() else {}


def _without_texts(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_texts(item) for item in node]
    if not isinstance(node, dict):
        return node
    named = {"properties", "$defs"}
    return {
        # Under ``properties`` and ``$defs`` the keys are names of ours: a field may be called "title".
        key: {name: _without_texts(item) for name, item in value.items()} if key in named else _without_texts(value)
        for key, value in node.items()
        if key not in _TEXTS
    }
