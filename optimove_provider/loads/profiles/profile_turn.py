"""When profiles may be written over REST: under the lease of the table, with their keys marked in its ledger."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache

import pyarrow as pa

from optimove_provider.contract.cells.values import JsonValue
from optimove_provider.loads.dcp.columns import TableColumns
from optimove_provider.loads.dcp.profile_marks import ProfileMarks
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.keys import newer_keys
from optimove_provider.loads.ledger.lease import InDoubtFor, Lease, acquired, at_once
from optimove_provider.loads.ledger.ledger import NO_LEDGER, Ledger
from optimove_provider.loads.plan.planner import is_below_watermark
from optimove_provider.loads.profiles.rest_load import (
    ODD,
    Prepared,
    Record,
    RestLoad,
    TakeTurn,
    Turn,
    UnfitRecord,
    no_turn,
)
from optimove_provider.loads.state.age import Age
from optimove_provider.records.to_json.columns import key_texts

Profile = tuple[str, dict[str, JsonValue]]
"""A customer id, and the values that are written."""
_Keyed = tuple[Prepared[Profile], str]
"""A record, and its key as a ledger has it."""
_Unfit = tuple[str, Collection[str]]
"""The key of a record that is put aside, and the names of its attributes."""
About = Callable[[Record], tuple[str, Collection[str]]]
"""Whom a record is about, and which attributes of the table. Raises UnfitRecord where that cannot be told."""
Concern = Callable[[frozenset[str]], bool]
"""Whether attributes of these names are those of the table's imports."""
_key_texts = key_texts(pa.string(), "string")
_INSTEAD = "Write the attributes that newer loads have, and the others, in a task each"


def no_one(record: Record) -> tuple[str, Collection[str]]:
    """Of no record that is put aside it can be told. Raises UnfitRecord."""
    raise UnfitRecord("nobody can tell whom this record is about")


def profile_turn(
    ledger: Ledger | None, load: RestLoad, about: About = no_one, in_doubt_for: InDoubtFor = at_once
) -> TakeTurn[Profile]:
    """What lets a load of profiles send: those of it that the ledger of the table has newer are left out.

    Profiles that write attributes which the table's imports have are compared with it and marked in it; those that
    write others, with a second one, whatever else they write. Records that are put aside are marked, too. Where there
    is no ledger, nothing is. Raises OtherColumns where values of attributes that nothing newer has would be left out.
    """

    def take_turn(
        fit: Sequence[Prepared[Profile]], unfit: Sequence[Record] = ()
    ) -> AbstractContextManager[Turn[Profile]]:
        if ledger is None:
            load.report.note(NO_LEDGER)
        put_aside = [one for record in unfit for one in _put_aside(record, about)]
        return _turn(ledger, load, fit, put_aside, in_doubt_for) if ledger and (fit or put_aside) else no_turn(fit)

    return take_turn


def _put_aside(record: Record, about: About) -> Iterator[_Unfit]:
    """Whom an unfit record is about, as a key, and which attributes, if that can be told."""
    with suppress(UnfitRecord, *ODD):
        customer, names = about(record)
        yield str(_key_texts(pa.array([customer], pa.string())).whole()[0]), names


@contextmanager
def _turn(
    ledger: Ledger,
    load: RestLoad,
    fit: Sequence[Prepared[Profile]],
    unfit: Sequence[_Unfit],
    in_doubt_for: InDoubtFor,
) -> Iterator[Turn[Profile]]:
    with acquired(ledger.manifest_file, load.report.load_id, 1, load.report.task, in_doubt_for) as lease:
        columns, marks = TableColumns(ledger), ProfileMarks(ledger)
        keyed, concern = list(_keys_of(fit)), cache(columns.concern)  # under the lease nobody else changes it
        of_imports = [one for one in keyed if concern(_names([one]))]
        newer, marked = _newer(ledger, _keys(of_imports), load.age), _newer_marks(marks, keyed, load.age)
        stale = [one for one in of_imports if one[1] in newer]
        columns.check_stale(_names(stale), load.age, len(stale), _INSTEAD)
        left_out = {one[0][0] for one in (*stale, *marked)}
        left = [one for one in keyed if one[0][0] not in left_out]
        _mark_beside(marks, columns, lease, [*_written(left), *unfit], load.age)
        _mark(ledger, concern, lease, left, unfit, load.age)
        yield Turn([one for one, _ in left], lease.check)
        compaction.maintain(ledger, lease)


def _newer_marks(marks: ProfileMarks, keyed: Sequence[_Keyed], age: Age) -> list[_Keyed]:
    """The profiles that the second ledger has newer. Raises OtherColumns."""
    stale = list[_Keyed]()
    for names in dict.fromkeys(_names([one]) for one in keyed):
        same = [one for one in keyed if _names([one]) == names]
        found = marks.newer(names, [pa.array(_keys(same), pa.string())], age)
        stale += [one for one in same if one[1] in found]
    marks.check_stale(_names(stale), age, len(stale), _INSTEAD)
    return stale


def _written(some: Sequence[_Keyed]) -> Iterator[_Unfit]:
    """Keys, and the names of the attributes."""
    return ((key, values.keys()) for (_, _, (_, values)), key in some)


def _mark_beside(marks: ProfileMarks, columns: TableColumns, lease: Lease, some: Sequence[_Unfit], age: Age) -> None:
    """Mark in the second ledger whoever has attributes that no import has; all count while there is no import."""
    beside = [(key, own) for key, names in some if (own := columns.beside(names))]
    if beside:
        names = frozenset[str]().union(*(own for _, own in beside))
        marks.mark(lease, names, list(dict.fromkeys(key for key, _ in beside)), age)


def _mark(
    ledger: Ledger,
    concern: Concern,
    lease: Lease,
    left: Sequence[_Keyed],
    unfit: Sequence[_Unfit],
    age: Age,
) -> None:
    """Mark in the ledger of the imports what it is about: what will be sent, and what will not, as it is known."""
    of_imports = [one for one in left if concern(_names([one]))]
    rejected = {key: set(names) for key, names in unfit if concern(frozenset(names))}
    if of_imports or rejected:
        TableColumns(ledger).write_profiles(_names(of_imports).union(*rejected.values()), age)
        keys = sorted(set(_keys(of_imports)))
        ledger.invalidate(lease, ((key, None) for key in keys), age, _batches(rejected) if rejected else None)


def _batches(keys: Collection[str]) -> list[pa.RecordBatch]:
    return [pa.record_batch([pa.array(list(keys), pa.string())], names=["_key"])]


def _names(some: Sequence[_Keyed]) -> frozenset[str]:
    return frozenset(name for (_, _, (_, values)), _ in some for name in values)


def _keys(some: Sequence[_Keyed]) -> list[str]:
    return [key for _, key in some]


def _keys_of(fit: Sequence[Prepared[Profile]]) -> Iterator[_Keyed]:
    """The records, each with its key as a ledger has it."""
    texts = _key_texts(pa.array([profile[0] for _, _, profile in fit], pa.string())).whole()
    return zip(fit, texts.to_pylist(), strict=True)


def _newer(ledger: Ledger, keys: Sequence[str], age: Age) -> set[str]:
    manifest = ledger.read()
    if is_below_watermark(manifest, age):
        return set(keys)
    return newer_keys(ledger.staging, manifest, [pa.array(keys, pa.string())], age) if keys else set()
