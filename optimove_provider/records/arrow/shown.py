"""Single values of a column for people, however odd they are."""

import pyarrow as pa
import pyarrow.types as types

MAX_CHARACTERS = 200


def shown(scalar: pa.Scalar) -> str:
    """The value as Python shows it, cut; or what it is, if Python has no such value."""
    try:
        return repr(scalar.as_py())[:MAX_CHARACTERS]
    except Exception:  # not UTF-8, a year, nanoseconds or a time zone that Python does not have: each raises its own
        return _stored(scalar)[:MAX_CHARACTERS]


def _stored(scalar: pa.Scalar) -> str:
    try:
        if types.is_temporal(scalar.type):
            return str(pa.array([scalar]).cast(pa.string())[0].as_py())
        return repr(pa.array([scalar]).cast(pa.binary())[0].as_py())
    except Exception:
        return f"a {scalar.type}"
