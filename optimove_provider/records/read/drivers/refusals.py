"""What a driver raises about the rows themselves: trying again would find the same."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from optimove_provider.contract.wire.errors import DataError

MAX_TEXT = 500
MAX_NAMES = 50

_OF_VALUES = (ValueError, TypeError, ArithmeticError, LookupError)
"""What Python raises in a driver that makes values of what the server sent."""
_OF_DATA = frozenset(("DataError", "NotSupportedError"))
"""Names of PEP 249 for the same; every driver has its own classes for them."""


def is_about_values(error: Exception) -> bool:
    """Whether the error, or the one that it was raised from, is about a value and not about the connection."""
    if isinstance(error, OSError):
        return False
    names = {kind.__name__ for kind in type(error).__mro__}
    cause = error.__cause__
    return (
        isinstance(error, _OF_VALUES)
        or bool(names & _OF_DATA)
        or (isinstance(cause, Exception) and is_about_values(cause))
    )


@contextmanager
def refusals(where: str, names: Sequence[str] = ()) -> Iterator[None]:
    """Turn such an error into a DataError, which says where; others, of a connection for instance, pass as they are."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        if not is_about_values(error):
            raise
        columns = f" of {', '.join(map(repr, names[:MAX_NAMES]))}" if names else ""
        raise DataError(
            f"{where}: the driver refused a value: {type(error).__name__}: {str(error).strip():.{MAX_TEXT}}. "
            f"Cast the column{columns} that holds it to text in the query, or leave such rows out there"
        ) from error
