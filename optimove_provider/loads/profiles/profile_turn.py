"""When profiles may be written over REST: under the lease of the table, with their keys marked in its ledger."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pyarrow as pa

from optimove_provider.contract.cells.values import JsonValue
from optimove_provider.loads.dcp.columns import TableColumns
from optimove_provider.loads.dcp.profile_marks import ProfileMarks
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import NO_LEDGER, Ledger
from optimove_provider.loads.ledger.newer import newer_keys
from optimove_provider.loads.plan.planner import is_below_watermark
from optimove_provider.loads.profiles.rest_load import Prepared, RestLoad, TakeTurn, Turn, no_turn
from optimove_provider.loads.state.age import Age
from optimove_provider.records.to_json.columns import key_texts

Profile = tuple[str, dict[str, JsonValue]]
"""A customer id, and the values that are written."""
_Keyed = tuple[Prepared[Profile], str]
"""A record, and its key as a ledger has it."""
_key_texts = key_texts(pa.string(), "string")
_INSTEAD = "Write the attributes that newer loads have, and the others, in a task each"


def profile_turn(ledger: Ledger | None, load: RestLoad) -> TakeTurn[Profile]:
    """What lets a load of profiles send: those of it that the ledger of the table has newer are left out.

    Profiles that write attributes which the table's imports have are compared with it and marked in it, the others
    with a second one. Where there is no ledger, nothing is. Raises OtherColumns where values of attributes that nothing
    newer has would be left out too.
    """

    def take_turn(fit: Sequence[Prepared[Profile]]) -> AbstractContextManager[Turn[Profile]]:
        if ledger is None:
            load.report.note(NO_LEDGER)
        return _turn(ledger, load, fit) if ledger and fit else no_turn(fit)

    return take_turn


@contextmanager
def _turn(ledger: Ledger, load: RestLoad, fit: Sequence[Prepared[Profile]]) -> Iterator[Turn[Profile]]:
    with acquired(ledger.manifest_file, load.report.load_id, 1, load.report.task) as lease:
        columns, marks = TableColumns(ledger), ProfileMarks(ledger)
        keyed = list(_keys_of(fit))
        of_imports = [one for one in keyed if columns.concern(_names([one]))]
        newer, marked = _newer(ledger, _keys(of_imports), load.age), _newer_marks(marks, keyed, load.age)
        stale = [one for one in of_imports if one[1] in newer]
        columns.check_stale(_names(stale), load.age, len(stale), _INSTEAD)
        left = [one for one in keyed if one not in stale and one[1] not in marked]
        _mark(ledger, marks, lease, left, load.age)
        yield Turn([one for one, _ in left], lease.check)
        compaction.maintain(ledger, lease)


def _newer_marks(marks: ProfileMarks, keyed: Sequence[_Keyed], age: Age) -> set[str]:
    """The customers whom the second ledger has newer. Raises OtherColumns."""
    found = marks.newer(_names(keyed), [pa.array(_keys(keyed), pa.string())], age)
    stale = [one for one in keyed if one[1] in found]
    marks.check_stale(_names(stale), age, len(stale), _INSTEAD)
    return found


def _mark(ledger: Ledger, marks: ProfileMarks, lease: Lease, left: Sequence[_Keyed], age: Age) -> None:
    """Mark what will be sent, each profile in the ledger that it concerns."""
    columns = TableColumns(ledger)
    of_imports = [one for one in left if columns.concern(_names([one]))]
    if aside := [one for one in left if one not in of_imports]:
        marks.mark(lease, _names(aside), _keys(aside), age)
    if of_imports:
        columns.write_profiles(_names(of_imports), age)
        ledger.invalidate(lease, ((key, None) for key in sorted(set(_keys(of_imports)))), age)


def _names(some: Sequence[_Keyed]) -> set[str]:
    return {name for (_, _, (_, values)), _ in some for name in values}


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
