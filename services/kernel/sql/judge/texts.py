"""Texts round a text constant, and texts that match or just miss a LIKE or regular-expression pattern."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from string import ascii_lowercase
from typing import Final

JSON_TYPE: Final = "JSON"
_LONGEST: Final = 400


def text_neighbours(text: str, *, bare: bool, operator: str) -> tuple[list[str], list[str]]:
    """(texts that satisfy ``column operator text``, texts near it), each short list without repeats."""
    near = [text + "a", text[:-1], text.swapcase(), " " + text]
    if not bare:
        near += [f"a{text}b", f"a{text}b{text}c"]
        # A function stands round the column: its result may be a part, another case or a trimmed form of the value.
        return [text, text.lower(), text.upper(), text.capitalize(), text + "a", "a" + text], near
    satisfying = {"=": [text], ">=": [text, text + "a"], "<=": [text, text[:-1]], ">": [text + "a"], "<": [text[:-1]]}
    return satisfying.get(operator, []), [text, *near]


def telling_texts(lengths: Iterable[int]) -> Iterator[str]:
    """Texts that functions of parts of a text tell apart: with blanks at the ends, repetitions, several words and
    cases, and about as long as each of ``lengths``, no two neighbouring characters alike."""
    yield from (" a ", "aba", "Ab cD", "a-b.c-d")
    for length in lengths:
        for size in (length, length + 1, length - 1):
            if 0 < size <= _LONGEST:
                yield "".join(islice(cycle(ascii_lowercase), size))


def json_texts(paths: Iterable[str], constants: Iterable[object]) -> Iterator[str]:
    """Small JSON texts in which the dotted ``paths`` lead to one of ``constants``, to something else, or nowhere."""
    yield "{}"
    for path in paths:
        for value in (1, 2, "a", *constants, None):
            found: object = value if isinstance(value, int | str | None) else str(value)
            for key in reversed(path.split(".")):
                found = {key: found}
            yield json.dumps(found)


def pattern_texts(pattern: str, *, regular: bool) -> tuple[list[str], list[str]]:
    """(texts that match ``pattern``, texts that miss it narrowly)."""
    matching = list(_regular_matches(pattern)) if regular else list(_like_matches(pattern))
    missing: list[str] = []
    for text in matching[:3]:
        missing += [text[1:], text[:-1], "z" + text, text + "z", text.swapcase()]
    return matching, [text for text in dict.fromkeys(missing) if text not in matching]


def _like_matches(pattern: str) -> Iterator[str]:
    for many, one in (("", "a"), ("x", "b"), ("x y", "1")):
        yield pattern.replace("%", many).replace("_", one)
    if "%" in pattern:
        yield pattern.replace("%", "", 1).replace("%", "x").replace("_", "a")
        yield "x".join(pattern.rsplit("%", 1)).replace("%", "").replace("_", "a")


_CLASS = re.compile(r"\[(\^?)(\\?.)[^\]]*\]")
_ESCAPES = {"\\d": "1", "\\w": "a", "\\s": " ", "\\b": "", "\\D": "a", "\\W": "-", "\\S": "a"}
_QUANTIFIER = re.compile(r"(?<!\\)\{(\d+)(?:,\d*)?\}")
_ATOM = re.compile(r"\\?.$", re.DOTALL)


def _regular_matches(pattern: str) -> Iterator[str]:
    """A text or two for each top-level alternative: classes by their first member, quantifiers by their least count.

    A heuristic: what does not parse this way yields a text that may not match, which is still a value to try.
    """
    for alternative in _alternatives(pattern):
        text = alternative.strip("^$")
        text = _CLASS.sub(lambda m: "!" if m[1] else _ESCAPES.get(m[2], m[2].lstrip("\\")), text)
        for escape, plain in _ESCAPES.items():
            text = text.replace(escape, plain)
        text = _repeat(text)
        text = re.sub(r"(?<!\\)\(\?[:=!i]*|(?<!\\)[()]", "", text)
        text = re.sub(r"(?<!\\)[*+?]", "", text)
        text = re.sub(r"(?<!\\)\.", "a", text).replace("\\", "")
        yield text
        yield text + "b" if not alternative.endswith("$") else "b" + text


def _repeat(text: str) -> str:
    match = _QUANTIFIER.search(text)
    while match:
        head = text[: match.start()]
        atom = _ATOM.search(head)
        unit = atom[0] if atom else ""
        text = head[: len(head) - len(unit)] + unit * min(int(match[1]), 12) + text[match.end() :]
        match = _QUANTIFIER.search(text)
    return text


def _alternatives(pattern: str) -> list[str]:
    depth, start, parts = 0, 0, []
    for index, character in enumerate(pattern):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "|" and depth == 0:
            parts.append(pattern[start:index])
            start = index + 1
    return [*parts, pattern[start:]]
