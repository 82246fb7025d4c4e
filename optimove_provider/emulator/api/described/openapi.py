"""The description as an OpenAPI 3.1 document. No I/O here."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles, subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.shapes.schema import ID, Link, Schema
from optimove_provider.contract.wire.messages import JSON_TYPE, Endpoint
from optimove_provider.emulator.api.described.under_switches import Body, Described, described
from optimove_provider.emulator.api.routes import PREFIXES
from optimove_provider.emulator.model.switches import Switches

Document = dict[str, Any]

_ABOUT = """\
What Opti-X Data Connections and DCP document, and what is assumed where they document nothing: a description of the \
emulator of optimove_provider, as its switches are set. It is no vendor's, and was tried against none. `x-source` \
quotes the page of a vendor that documents an endpoint, or says that it is assumed; `x-retry-safe` says whether a \
request that is sent twice leaves the same state as one."""

_TAGS = {
    optix.API: ("Opti-X Data Connections", optix.BASE_URL),
    dcp.API: ("DCP: services, tables, attributes, projects", dcp.BASE_URL),
    profiles.API: ("DCP: profiles and aliases", profiles.BASE_URL),
    subject_access.API: ("Subject access requests", subject_access.BASE_URL),
    dcp.HISTORY_API: ("Upload history: the emulator's own, as no vendor documents one", ""),
}
_HEADER = {"type": "apiKey", "in": "header"}
_SCHEMES = {
    "optix_api_key": {**_HEADER, "name": optix.API_KEY_HEADER},
    "optix_brand_key": {**_HEADER, "name": optix.BRAND_KEY_HEADER},
    "dcp_token": {**_HEADER, "name": dcp.TOKEN_HEADER},
    "bearer": {"type": "http", "scheme": "bearer"},
}
_DCP_SCHEMES = {"token": ["dcp_token"], "bearer": ["bearer"], "both": ["dcp_token", "bearer"]}


def document(switches: Switches) -> Document:
    """The description of what is served under some switches."""
    paths: Document = {}
    schemas: Document = {}
    refusals: Document = {}
    for row, one in described(switches).items():
        operation = _hoisted(_operation(row, one, switches), schemas)
        paths.setdefault(PREFIXES[row.api] + row.path, {})[row.method.lower()] = operation
        refusals |= {_refusal(row, status): _response(status, one.error) for status in one.shape.refused}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Opti-X Data Connections and DCP, emulated", "version": "v1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, **({"description": url} if url else {})} for name, url in _TAGS.values()],
        "paths": paths,
        "components": {
            "responses": dict(sorted(_hoisted(refusals, schemas).items())),
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": _SCHEMES,
        },
    }


def as_text(found: Document) -> str:
    """The document as it is served and printed."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _operation(row: Endpoint, one: Described, switches: Switches) -> Document:
    shape = one.shape
    found: Document = {
        "operationId": f"{row.api}.{row.name}",
        "tags": [_TAGS[row.api][0]],
        "summary": row.name.replace("_", " ").capitalize(),
        "x-source": row.source,
        "x-retry-safe": row.retry_safe,
        "security": _security(row, switches),
        "parameters": [_parameter(name, shape.path.get(name, ID)) for name in row.path_names],
    }
    if shape.takes is not None:
        found["requestBody"] = {"required": True, "content": {JSON_TYPE: {"schema": shape.takes}}}
    return {**found, "responses": _responses(row, one)}


def _security(row: Endpoint, switches: Switches) -> list[Document]:
    if row.api == optix.API:
        return [{"optix_api_key": [], "optix_brand_key": []}]
    if row.api == subject_access.API:
        return [{"bearer": []}]
    return [] if row.api == dcp.HISTORY_API else [{name: []} for name in _DCP_SCHEMES[switches.accepted_auth]]


def _parameter(name: str, schema: Schema) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _responses(row: Endpoint, one: Described) -> Document:
    answers: Document = {
        str(status): {"$ref": f"#/components/responses/{_refusal(row, status)}"} for status in sorted(one.shape.refused)
    }
    if one.shape.success is None:
        return answers
    links = {link.to.name: _link(link) for link in one.shape.leads_to}
    success = {**_response(one.shape.success, one.given), **({"links": links} if links else {})}
    return {str(one.shape.success): success, **answers}


def _refusal(row: Endpoint, status: int) -> str:
    return f"{row.api}_{status}"


def _link(link: Link) -> Document:
    return {"operationId": f"{link.to.api}.{link.to.name}", "parameters": dict(link.path)}


def _response(status: int, body: Body) -> Document:
    content = {"content": {body[0]: {"schema": body[1]}}} if body else {}
    return {"description": HTTPStatus(status).phrase, **content}


def _hoisted(value: Any, components: Document) -> Any:
    """The value, in which each schema with a title is a reference to the component of that name."""
    if isinstance(value, Mapping):
        found = {name: _hoisted(one, components) for name, one in value.items()}
        if not isinstance(title := found.get("title"), str):
            return found
        components[title] = found
        return {"$ref": f"#/components/schemas/{title}"}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_hoisted(one, components) for one in value]
    return value
