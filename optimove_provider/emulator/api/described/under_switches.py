"""What travels at each endpoint as the switches have it: the contract's shapes, with their guesses replaced.

Not described are `doubtful_success` and orders of trouble: what a proxy or a broken server answers is no API's.
No I/O here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles, subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.shapes import dcp as dcp_shapes
from optimove_provider.contract.shapes import optix as optix_shapes
from optimove_provider.contract.shapes import profiles as profile_shapes
from optimove_provider.contract.shapes.schema import COUNT, INSTANT, TEXT, Schema, Shape, list_of, members, one_of
from optimove_provider.contract.wire.messages import JSON_TYPE, Endpoint
from optimove_provider.emulator.model.switches import Switches

SHAPES: Mapping[Endpoint, Shape] = {**optix_shapes.SHAPES, **dcp_shapes.SHAPES, **profile_shapes.SHAPES}
"""Of every endpoint, under our guesses."""

Body = tuple[str, Schema] | None
"""A content type and a schema; None is no body."""
_PLAIN, _PAGE = ("text/plain", TEXT), ("text/html", TEXT)


@dataclass(frozen=True, slots=True)
class Described:
    """An endpoint under some switches: its shape, the body of a success and that of a refusal."""

    shape: Shape
    given: Body
    error: Body


@cache
def described(switches: Switches) -> Mapping[Endpoint, Described]:
    """All endpoints."""
    return {row: _described(row, shape, switches) for row, shape in SHAPES.items()}


def _described(row: Endpoint, shape: Shape, switches: Switches) -> Described:
    if row.api == optix.API:
        shape, error = _optix(row, shape, switches), _OPTIX_ERRORS[switches.error_envelope]
    elif row.api == subject_access.API:
        error = (JSON_TYPE, profile_shapes.V2_ERROR)
    else:
        shape = _DCP.get(row, _as_it_is)(shape, switches)
        error = (JSON_TYPE, dcp_shapes.ERROR) if switches.dcp_error_body == "json" else _PLAIN
    given = (JSON_TYPE, shape.gives) if shape.gives is not None else None
    return Described(shape, _PAGE if row is profiles.READ_PROFILE and switches.profile_read == "html" else given, error)


_PLACE = members({"loc": list_of({"type": ["string", "integer"]}), "msg": TEXT, "type": TEXT})
_OPTIX_ERRORS: Mapping[str, Body] = {
    "main": (JSON_TYPE, optix_shapes.ERROR),
    "detail": (JSON_TYPE, members({"detail": {"anyOf": [TEXT, list_of(_PLACE)]}})),
    "x": (
        JSON_TYPE,
        members({"error": members({"code": TEXT, "message": TEXT, "details": list_of(_PLACE), "requestId": TEXT})}),
    ),
    "text": _PLAIN,
    "empty": None,
}


def _optix(row: Endpoint, shape: Shape, switches: Switches) -> Shape:
    success, gives = shape.success, shape.gives
    if row is optix.CREATE_CONNECTION:
        success, gives = switches.create_status, _CREATED[switches.created_uuid]
    elif success is not None:
        success = switches.success_status
        gives = None if success == 204 else _success(shape, switches)
    takes = _TAKES[row](switches) if row in _TAKES else shape.takes
    return replace(shape, success=success, gives=gives, takes=takes, refused=_refused(shape, switches))


_CREATED: Mapping[str, Schema] = {
    "uuid": optix_shapes.CREATED,
    "null": members({"data_connection_uuid": {"type": "null"}}),
    "missing": members({}, {"data_connection_uuid": {"not": {}}}),
    "number": members({"data_connection_uuid": {"type": "integer"}}),
    "no_uuid": members({"data_connection_uuid": {"const": "created"}}),
}


def _success(shape: Shape, switches: Switches) -> Schema | None:
    return {"empty": None, "success": optix_shapes.SUCCESS, "batch": shape.gives}[switches.success_body]


def _refused(shape: Shape, switches: Switches) -> tuple[int, ...]:
    found = {switches.rate_limit_status if status == 429 else status for status in shape.refused}
    found |= {switches.wrong_brand_status}
    if shape.takes is not None:
        found |= {switches.schema_status, switches.too_large_status}
    return tuple(sorted(found))


def _ttl(switches: Switches) -> Schema:
    most = switches.max_ttl_seconds or optix_shapes.MOST_SECONDS
    return optix_shapes.ttl(0 if switches.zero_ttl == "expire" else 1, most)


def _record(schema: Schema, switches: Switches) -> Schema:
    refused = ["null"] * (switches.null_values == "refuse")
    refused += ["object", "array"] * (switches.nested_values == "refuse")
    return {**schema, "additionalProperties": {"not": {"type": refused}}} if refused else schema


def _upload(switches: Switches) -> Schema:
    members_of: Mapping[str, Any] = optix_shapes.UPLOAD["properties"]
    data = {**members_of["data"], "items": _record(optix_shapes.RECORD, switches)}
    return {**optix_shapes.UPLOAD, "properties": {**members_of, "data": data, "ttl_seconds": _ttl(switches)}}


def _update(switches: Switches) -> Schema:
    members_of: Mapping[str, Any] = optix_shapes.ITEM["properties"]
    data = _record(members_of["data"], switches)
    item = {**optix_shapes.ITEM, "properties": {**members_of, "data": data, "ttl": _ttl(switches)}}
    found = {**optix_shapes.UPDATE, "items": item, "maxItems": switches.update_limit}
    return found if switches.update_limit else {name: one for name, one in found.items() if name != "maxItems"}


_TAKES: Mapping[Endpoint, Callable[[Switches], Schema]] = {optix.UPLOAD_DATA: _upload, optix.UPDATE_DATA: _update}


def _as_it_is(shape: Shape, switches: Switches) -> Shape:
    return shape


def _create_service(shape: Shape, switches: Switches) -> Shape:
    return replace(shape, refused=(*dict.fromkeys((*shape.refused, switches.second_service_status)),))


def _update_attribute(shape: Shape, switches: Switches) -> Shape:
    if switches.attribute_put == "ignore":
        return shape
    takes: Schema = shape.takes or {}
    unsupported = [{"required": [name]} for name in ("name", "datatype", "format")]
    return replace(shape, takes={**takes, "not": {"anyOf": unsupported}})


def _list_attributes(shape: Shape, switches: Switches) -> Shape:
    if switches.odd_attribute == "none":
        return shape
    listed: Mapping[str, Any] = dcp_shapes.LISTED_ATTRIBUTE
    odd = {**listed["properties"], "datatype": TEXT, "format": {"type": ["string", "null"]}}
    return replace(shape, gives=list_of({**listed, "properties": odd, "required": ["id", "name", "datatype"]}))


def _write_profile(shape: Shape, switches: Switches) -> Shape:
    return replace(shape, gives=profile_shapes.PROFILE) if switches.profile_write_answer == "echo" else shape


def _create_aliases(shape: Shape, switches: Switches) -> Shape:
    return replace(shape, gives=profile_shapes.KNOWN_AS) if switches.alias_answer == "echo" else shape


def _read_profile(shape: Shape, switches: Switches) -> Shape:
    status = switches.profile_read
    return replace(shape, refused=(*dict.fromkeys((*shape.refused, status)),)) if isinstance(status, int) else shape


_STATES = tuple(dcp_shapes.ENTRY["properties"]["status"]["enum"])
_HISTORY_STATES: Mapping[str, Schema] = {
    "lower": one_of(_STATES),
    "upper": one_of([one.upper() for one in _STATES]),
    "other": one_of([f"import {one}" for one in _STATES]),
}
_HISTORY_TIMES: Mapping[str, Schema] = {
    "iso": INSTANT,
    "seconds": COUNT,
    "milliseconds": COUNT,
    "mail": TEXT,
    "none": {"type": "null"},
}


def _history(shape: Shape, switches: Switches) -> Shape:
    entry = {
        **dcp_shapes.ENTRY["properties"],
        "status": _HISTORY_STATES[switches.history_states],
        "created": _HISTORY_TIMES[switches.history_times],
    }
    uncounted = () if switches.history_counts else ("rows_processed", "rows_failed")
    shown = {name: one for name, one in entry.items() if name not in uncounted}
    return replace(shape, gives=list_of(members(shown, title=dcp_shapes.ENTRY["title"])))


_DCP: Mapping[Endpoint, Callable[[Shape, Switches], Shape]] = {
    dcp.CREATE_SERVICE: _create_service,
    dcp.UPDATE_ATTRIBUTE: _update_attribute,
    dcp.LIST_ATTRIBUTES: _list_attributes,
    profiles.WRITE_PROFILE: _write_profile,
    profiles.CREATE_ALIASES: _create_aliases,
    profiles.READ_PROFILE: _read_profile,
    dcp.UPLOAD_HISTORY: _history,
}
