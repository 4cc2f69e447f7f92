"""Catalogs that tests may damage: the real contracts, copied, with one thing changed."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import create_model

from contracts.exports.catalog import Catalog, declared
from contracts.message import Message

_FILES = ("contracts/golden", "contracts/schemas", "contracts/asyncapi.json", "terraform/manifest.auto.tfvars.json")


def copied(root: Path) -> Catalog:
    """The declared catalog with its files copied under ``root``."""
    catalog = declared()
    for name in _FILES:
        source, target = catalog.root / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    return replace(catalog, root=root)


def variant(
    message: type[Message],
    *,
    without: tuple[str, ...] = (),
    fields: Mapping[str, Any] | None = None,
    revision: int | None = None,
) -> type[Message]:
    """``message`` as a developer might have changed it: ``fields`` are added or replaced."""
    kept = {name: (info.annotation, info) for name, info in message.model_fields.items() if name not in without}
    made = create_model(message.__name__, __base__=Message, __module__=message.__module__, **{**kept, **(fields or {})})
    made.NAME, made.VERSION, made.SUBJECT = message.NAME, message.VERSION, message.SUBJECT
    made.FILTERABLE = message.FILTERABLE
    made.REVISION = message.REVISION if revision is None else revision
    return made


def with_message(catalog: Catalog, old: type[Message], new: type[Message]) -> Catalog:
    """``catalog`` with ``new`` wherever it had ``old``."""
    return replace(
        catalog,
        messages=tuple(new if message is old else message for message in catalog.messages),
        topics=tuple(replace(topic, message=new) if topic.message is old else topic for topic in catalog.topics),
        subscriptions=tuple(replace(sub, message=new) if sub.message is old else sub for sub in catalog.subscriptions),
    )
