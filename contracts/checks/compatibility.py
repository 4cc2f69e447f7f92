"""May a reader of the new schema read what writers of an older revision wrote, and the reverse?

The rule is the platform's own (a compatible change adds a field with a default) and so is
stricter than Avro's resolution rules, which would let a defaulted field be removed.
"""

from contracts.exports.catalog import Json

_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_IDENTICAL = ("type", "format", "pattern", "anyOf", "oneOf", "additionalProperties", "contentMediaType")


def incompatibilities(old: Json, new: Json) -> list[str]:
    """What in ``new`` breaks ``old``, each naming its field; both are JSON Schemas as exported here."""
    return _Comparison(old, new).node(old, new, "")


class _Comparison:
    def __init__(self, old_root: Json, new_root: Json) -> None:
        self._old_definitions: Json = old_root.get("$defs", {})
        self._new_definitions: Json = new_root.get("$defs", {})

    def node(self, old: Json, new: Json, path: str) -> list[str]:
        old, new = _resolved(old, self._old_definitions), _resolved(new, self._new_definitions)
        found = [
            f"{path or 'the message'} changed its {keyword} from {old.get(keyword)!r} to {new.get(keyword)!r}"
            for keyword in _IDENTICAL
            if old.get(keyword) != new.get(keyword)
        ]
        found += _narrowed_values(old, new, path) + _narrowed_bounds(old, new, path)
        if "properties" in old or "properties" in new:
            found += self._properties(old, new, path)
        if "items" in old and "items" in new:
            found += self.node(old["items"], new["items"], f"{path}[]")
        return found

    def _properties(self, old: Json, new: Json, path: str) -> list[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        prefix = f"{path}." if path else ""
        found = [f"field {prefix}{name} was removed" for name in before if name not in after]
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        for name in after:
            if name not in before:
                if name in is_required:
                    found.append(f"new field {prefix}{name} has no default")
                continue
            if name in is_required and name not in was_required:
                found.append(f"field {prefix}{name} lost its default")
            found += self.node(before[name], after[name], f"{prefix}{name}")
        return found


def _resolved(node: Json, definitions: Json) -> Json:
    if "$ref" not in node:
        return node
    target: Json = definitions[node["$ref"].removeprefix("#/$defs/")]
    return target


def _narrowed_values(old: Json, new: Json, path: str) -> list[str]:
    before, after = _values(old), _values(new)
    if after is None:
        return []
    if before is None:
        return [f"{path} now accepts only {sorted(map(str, after))}"]
    gone = [value for value in before if value not in after]
    return [f"{path} no longer accepts {sorted(map(str, gone))}"] if gone else []


def _values(node: Json) -> list[object] | None:
    if "const" in node:
        return [node["const"]]
    values: list[object] | None = node.get("enum")
    return values


def _narrowed_bounds(old: Json, new: Json, path: str) -> list[str]:
    tightened = [
        *(keyword for keyword in _LOWER_BOUNDS if keyword in new and new[keyword] > old.get(keyword, float("-inf"))),
        *(keyword for keyword in _UPPER_BOUNDS if keyword in new and new[keyword] < old.get(keyword, float("inf"))),
    ]
    return [
        f"{path} tightened its {keyword} from {old.get(keyword, 'none')} to {new[keyword]}" for keyword in tightened
    ]
