"""A chart for a result, as a Vega-Lite 5 specification, and a reading of it in two sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_POINTS: Final = 500
SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"
_NUMERIC: Final = ("INT", "DECIMAL", "DOUBLE", "FLOAT", "REAL", "HUGEINT")
_TEMPORAL: Final = ("DATE", "TIMESTAMP")


@dataclass(frozen=True)
class Shape:
    """Which columns are shown: ``x`` is empty when there is nothing to draw against."""

    x: str
    y: str
    kind: str


def specification(result: dict[str, Any]) -> dict[str, Any] | None:
    """None when the result has no numbers to draw, or no rows. A single number is written, not drawn as a bar."""
    shape = _shape(result)
    if shape is None or not result["rows"]:
        return None
    columns = _unique(result["columns"])
    values = [dict(zip(columns, row, strict=True)) for row in result["rows"][:MAX_POINTS]]
    quantity = {"field": _escaped(shape.y), "type": "quantitative", "title": shape.y}
    base: dict[str, Any] = {
        "$schema": SCHEMA,
        "data": {"values": _numbers(values, shape.y)},
        "width": 480,
        "height": 280,
    }
    if shape.kind == "text":
        return {**base, "height": 80, "mark": {"type": "text", "fontSize": 36}, "encoding": {"text": quantity}}
    if shape.kind == "line":
        time = {"field": _escaped(shape.x), "type": "temporal", "title": shape.x}
        return {**base, "mark": {"type": "line", "point": True}, "encoding": {"x": time, "y": quantity}}
    name = {"field": _escaped(shape.x), "type": "nominal", "title": shape.x, "sort": None}
    return {**base, "mark": "bar", "encoding": {"y": name, "x": quantity}}


def png(spec: dict[str, Any]) -> bytes:
    """Rendered without network access; blocking, some 100 ms. Raises ValueError: the specification cannot be drawn."""
    import vl_convert

    rendered: bytes = vl_convert.vegalite_to_png(spec, scale=1.5, allowed_base_urls=[])
    return rendered


def reading(result: dict[str, Any]) -> dict[str, str]:
    """What the result says, in Korean and English: only what its rows state."""
    rows, count = result["rows"], len(result["rows"])
    if not count:
        return {"ko": "조건에 맞는 행이 없습니다.", "en": "No row fits."}
    shape = _shape(result)
    if count == 1 and len(result["columns"]) == 1:
        name, value = result["columns"][0], rows[0][0]
        return {"ko": f"{name}: {value}", "en": f"{name}: {value}"}
    if shape is None or not shape.x:
        return {"ko": f"{count}개 행이 나왔습니다.", "en": f"{_counted(count)}."}
    x, y = _unique(result["columns"]).index(shape.x), _unique(result["columns"]).index(shape.y)
    valued = [(row[x], float(row[y])) for row in rows if row[y] is not None]
    if not valued:
        return {
            "ko": f"{count}개 행이 나왔지만 {shape.y} 값이 없습니다.",
            "en": f"{_counted(count)}, none with a {shape.y}.",
        }
    high, low = max(valued, key=lambda pair: pair[1]), min(valued, key=lambda pair: pair[1])
    return {
        "ko": f"{count}개 행입니다. {shape.y} 값은 {high[0]}에서 {high[1]:g}(으)로 가장 크고 "
        f"{low[0]}에서 {low[1]:g}(으)로 가장 작습니다.",
        "en": f"{_counted(count)}. {shape.y} is highest for {high[0]} ({high[1]:g}) and lowest "
        f"for {low[0]} ({low[1]:g}).",
    }


def _counted(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"


def _shape(result: dict[str, Any]) -> Shape | None:
    columns, types = _unique(result["columns"]), [name.upper() for name in result["types"]]
    numeric = [i for i, name in enumerate(types) if any(part in name for part in _NUMERIC) and "[" not in name]
    if not numeric:
        return None
    temporal = [i for i, name in enumerate(types) if name.startswith(_TEMPORAL)]
    others = [i for i, name in enumerate(types) if name.startswith("VARCHAR") or name == "BOOLEAN"]
    # The last number is what was computed; numbers before it are mostly keys.
    y = numeric[-1]
    if temporal:
        return Shape(columns[temporal[0]], columns[y], "line")
    if others:
        return Shape(columns[others[0]], columns[y], "bar")
    if len(numeric) > 1:
        return Shape(columns[numeric[0]], columns[y], "bar")
    return Shape("", columns[y], "text") if len(result["rows"]) == 1 else None


def _unique(names: Sequence[str]) -> list[str]:
    """A query may name two columns alike; an object's keys cannot."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _numbers(values: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Exact decimals travel as text; a chart wants numbers."""
    return [{**row, column: None if row[column] is None else float(row[column])} for row in values]


def _escaped(name: str) -> str:
    """Vega-Lite reads dots and brackets in a field's name as paths."""
    return name.replace("\\", "\\\\").replace(".", "\\.").replace("[", "\\[").replace("]", "\\]")
