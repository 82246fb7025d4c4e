"""The observers of a file: which columns have which."""

from collections.abc import Collection, Sequence
from pathlib import Path

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.records.key import DCP_KEY, Key
from optimove_provider.records.observe.identifiers import KeyObserver
from optimove_provider.records.observe.observer import ColumnObserver
from optimove_provider.records.observe.pii import PiiObserver
from optimove_provider.records.repeated.repeated_texts import OnCompared, no_progress


def observers_for(
    names: Sequence[str],
    attributes: Sequence[Attribute],
    *,
    identifiers: bool = True,
    pii: bool = True,
    allowed_pii: Collection[str] = (),
    folder: Path | None = None,
    key: Key = DCP_KEY,
    on_compared: OnCompared = no_progress,
) -> list[ColumnObserver]:
    """The observers of a file with these names in its header: of its ids, and of all columns that may hold any text.

    Those are the columns of string attributes, of no attribute, and customerId. The first column that is the key
    holds the ids. `allowed_pii` names columns that may look like personal data; `folder` is where the ids are written
    to; `on_compared` is told how many ids were compared, and how many there are.
    """
    texts = {name: one.datatype == "string" for one in attributes if (name := one.name) and not is_key_column(name)}
    keys = [column for column, name in enumerate(names) if name in key]
    observers: list[ColumnObserver] = [
        KeyObserver(column, names[column], folder, on_compared=on_compared, errors=key.errors)
        for column in keys[:1]
        if identifiers
    ]
    for column, name in enumerate(names):
        if pii and texts.get(name, True) and name not in allowed_pii:
            observers.append(PiiObserver(column, name))
    return observers
