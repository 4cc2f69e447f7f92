"""Published revisions never change, and the newest one reads all the older ones."""

import math
from typing import Any

from contracts.checks.compatibility import incompatibilities
from contracts.checks.finding import Finding
from contracts.exports.avro import NotPlainJson, avro_schema
from contracts.exports.catalog import Catalog, read_json, revisions
from contracts.exports.files import content_digest, recorded_digests, shape_digest
from contracts.exports.json_schema import json_schema
from contracts.message import Message

_KEYWORDS = frozenset({"properties", "$defs", "items"})


def check_models(catalog: Catalog) -> list[Finding]:
    """Each model can be exported and may follow the revisions already published.

    Looks at the models and the recorded digests only, so it also guards ``export``.
    """
    found = []
    for message in catalog.messages:
        found += _check_expressible(message) or [
            *_check_same_revision(catalog, message),
            *_check_compatible(catalog, message),
        ]
    return found


def check_published(catalog: Catalog) -> list[Finding]:
    """The files of every published revision are there and hold what was published."""
    found = []
    recorded = recorded_digests(catalog)
    for message in catalog.messages:
        for revision in revisions(message):
            digests = recorded.get(message.topic(), {}).get(f"r{revision}", {})
            found += _check_files(catalog, message, revision, digests)
    return found


def _check_expressible(message: type[Message]) -> list[Finding]:
    where = f"{message.__module__}.{message.__name__}"
    factories = [name for name, field in message.model_fields.items() if field.default_factory is not None]
    if factories:
        remedy = "give a literal default, which is copied for each message: Field(default=[])"
        return [Finding(f"the default of {', '.join(factories)} is a factory, which no schema can show", where, remedy)]
    unbounded = unbounded_integers(json_schema(message))
    if unbounded:
        what = f"{', '.join(unbounded)} may exceed the 64 bits of an Avro long"
        return [Finding(what, where, "declare it contracts.message.Long, with a lower bound: Field(ge=0)")]
    try:
        avro_schema(message)
    except NotPlainJson as error:
        return [Finding(str(error), where, "make the field a plain type with an empty default")]
    return []


def unbounded_integers(node: Any, path: str = "") -> list[str]:
    """Names of the integer fields of a JSON Schema that accept more than 64 bits."""
    found = []
    for key, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, dict):
            found += unbounded_integers(value, key if key not in _KEYWORDS else path)
    if isinstance(node, dict) and node.get("type") == "integer":
        bounds = (node.get("minimum", -math.inf), node.get("maximum", math.inf))
        if bounds[0] < -(2**63) or bounds[1] >= 2**63:
            found.append(path)
    return found


def _check_same_revision(catalog: Catalog, message: type[Message]) -> list[Finding]:
    recorded = recorded_digests(catalog).get(message.topic(), {}).get(f"r{message.REVISION}")
    if recorded is None:
        return []
    now = {"avro": shape_digest(avro_schema(message)), "json": shape_digest(json_schema(message))}
    changed = [kind for kind in now if now[kind] != recorded.get(kind)]
    if not changed:
        return []
    return [
        Finding(
            f"the model differs from revision {message.REVISION} as it was published ({', '.join(changed)})",
            f"{message.__module__}.{message.__name__}",
            f"set REVISION to {message.REVISION + 1}, add its golden example and export; "
            f"if r{message.REVISION} was never deployed, delete its entry in {catalog.where(catalog.digests)} instead",
        )
    ]


def _check_compatible(catalog: Catalog, message: type[Message]) -> list[Finding]:
    found = []
    recorded = recorded_digests(catalog).get(message.topic(), {})
    for revision in revisions(message):
        path = catalog.json_schema(message, revision)
        if f"r{revision}" not in recorded or not path.exists():
            continue
        found += [
            Finding(
                f"{what}: this breaks revision {revision}",
                f"{message.__module__}.{message.__name__}",
                f"only add fields with defaults; otherwise declare a new class with VERSION {message.VERSION + 1} "
                "and publish it beside this one until every consumer has moved",
            )
            for what in incompatibilities(read_json(path), json_schema(message))
        ]
    return found


def _check_files(catalog: Catalog, message: type[Message], revision: int, digests: dict[str, str]) -> list[Finding]:
    files = {
        "avro": (catalog.avro(message, revision), shape_digest),
        "json": (catalog.json_schema(message, revision), shape_digest),
        "golden": (catalog.golden(message, revision), content_digest),
    }
    found = []
    for kind, (path, digest) in files.items():
        frozen = kind != "golden" or revision < message.REVISION
        if not path.exists():
            remedy = "restore it from version control" if kind in digests else _how_to_make(kind)
            found.append(Finding(f"no {kind} file for revision {revision}", catalog.where(path), remedy))
        elif frozen and kind not in digests:
            what = f"revision {revision} has no recorded {kind} digest"
            found.append(Finding(what, catalog.where(catalog.digests), "run: python -m scripts.contracts export"))
        elif frozen and digest(read_json(path)) != digests[kind]:
            what = f"revision {revision} was published and may not change"
            found.append(Finding(what, catalog.where(path), "restore it; a change is a new revision"))
    return found


def _how_to_make(kind: str) -> str:
    if kind == "golden":
        return "write one realistic message as {attributes, data}"
    return "run: python -m scripts.contracts export"
