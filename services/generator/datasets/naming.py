"""Words inside identifiers, and English number."""

from __future__ import annotations

import re


def split_words(identifier: str) -> list[str]:
    """``orderItems``, ``order_items`` and ``ORDER ITEMS`` -> ``['order', 'items']``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", identifier)
    return [word.lower() for word in re.split(r"[^0-9A-Za-z가-힣]+", spaced) if word]


def singular(noun: str) -> str:
    if re.search(r"(ss|us|is|series|news)$", noun):
        return noun
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if re.search(r"(xes|ches|shes|sses)$", noun):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and len(noun) > 2 else noun


def plural(noun: str) -> str:
    if noun.endswith("series") or not noun.isascii():
        return noun
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|ch|sh)$", noun) else "s")
