"""The shape of what is stored: which files, which members of JSON with which types, which columns of Parquet and CSV.

Ids, numbers and other names that a load makes up are replaced by what they are.
"""

import io
import json
import re

import pyarrow.parquet as pq

_MADE_UP = [
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{12,}"), "<id>"),
    (re.compile(r"\d+"), "<n>"),
]
_NAME = re.compile(r"[A-Za-z_]+")


def shape(files):
    """Lines that tell the shape of {path: body}."""
    return {line for path, body in files.items() for line in _of_file(path, body)}


def _of_file(path, body):
    place = path
    for pattern, word in _MADE_UP:
        place = pattern.sub(word, place)
    return {f"{place}: {one}" for one in _READERS[path.rpartition(".")[2]](body)}


def _of_parquet(body):
    schema = pq.read_schema(io.BytesIO(body))
    about = (f"{name.decode()} {value.decode()}" for name, value in (schema.metadata or {}).items())
    own = (one for one in about if one.startswith("optimove."))
    return [*(f"column {one.name} {one.type}" for one in schema), *own]


def _of_json(body):
    return _of_value("", json.loads(body))


def _of_lines(body):
    return [one for line in body.splitlines() for one in _of_json(line)]


def _of_value(place, value):
    if isinstance(value, dict):
        for name, one in value.items():
            below = f"{place}.{name if _NAME.fullmatch(name) else '<key>'}"
            yield f"{below} = {one}" if name == "format" else below
            yield from _of_value(below, one)
    elif isinstance(value, list):
        for one in value:
            yield from _of_value(f"{place}[]", one)
    elif value is not None:
        yield f"{place} {type(value).__name__}"


_READERS = {
    "parquet": _of_parquet,
    "json": _of_json,
    "jsonl": _of_lines,
    "csv": lambda body: [f"header {body.splitlines()[0].decode()}"],
    "html": lambda body: ["page"],
    "lock": lambda body: ["nothing"],
}
