"""JSON schemas of bodies (2020-12, as in OpenAPI 3.1), and what travels at an endpoint. No I/O here.

A schema with a `title` is one that has a name of its own in a description.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optimove_provider.contract.wire.messages import Endpoint

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ID: Schema = {"type": "integer", "minimum": 1}
UUID: Schema = {"type": "string", "format": "uuid"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
OBJECT: Schema = {"type": "object"}


def members(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: Any) -> Schema:
    """An object with these members, and perhaps others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        **({"required": list(required)} if required else {}),
        **more,
    }


def list_of(items: Schema, **more: Any) -> Schema:
    """An array."""
    return {"type": "array", "items": items, **more}


def one_of(words: Sequence[str | None]) -> Schema:
    """One of a few words."""
    return {"enum": list(words)}


def or_null(schema: Schema) -> Schema:
    """What may be null, too."""
    return {"anyOf": [schema, {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Link:
    """Another endpoint, and where the values of its path are: in the path of the request that was answered
    (`$request.path.name`) or in the body of the answer (`$response.body#/pointer`)."""

    to: Endpoint
    path: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shape:
    """What travels at an endpoint: `takes` in the body of a request, `gives` in that of a success; None is no body.

    `success` is the status of one, None where there is none. `refused` are the statuses of refusals. `path` has the
    schemas of path values that are no ids. `leads_to` is what can be asked next.
    """

    success: int | None
    gives: Schema | None = None
    takes: Schema | None = None
    refused: tuple[int, ...] = ()
    path: Mapping[str, Schema] = field(default_factory=dict)
    leads_to: tuple[Link, ...] = ()
