"""Routes on the hot path: the handler takes the request and answers with bytes.

FastAPI's dependency solving and response models cost more than the database here, so these routes
read the request and write the response themselves; their schemas are declared beside them.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel


class DirectRoute(APIRoute):
    """The endpoint ``async (Request) -> Response`` is called as it is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def inlined_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON Schema in one piece, for an operation that declares its body by hand."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                name = node["$ref"].rsplit("/", 1)[1]
                return resolved({**definitions[name], **{key: value for key, value in node.items() if key != "$ref"}})
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(child) for child in node] if isinstance(node, list) else node

    return resolved(schema)  # type: ignore[no-any-return]
