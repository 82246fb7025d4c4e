"""When profiles may be written over REST: under the lease of the table, with their keys marked in its ledger."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pyarrow as pa

from optimove_provider.contract.cells.values import JsonValue
from optimove_provider.loads.dcp.columns import TableColumns
from optimove_provider.loads.dcp.rest_load import Prepared, RestLoad, TakeTurn, Turn, no_turn
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import acquired
from optimove_provider.loads.ledger.ledger import NO_LEDGER, Ledger
from optimove_provider.loads.ledger.newer import newer_keys
from optimove_provider.loads.plan.planner import is_below_watermark
from optimove_provider.loads.state.age import Age
from optimove_provider.records.to_json.columns import key_texts

Profile = tuple[str, dict[str, JsonValue]]
"""A customer id, and the values that are written."""
_key_texts = key_texts(pa.string(), "string")


def profile_turn(ledger: Ledger | None, load: RestLoad) -> TakeTurn[Profile]:
    """What lets a load of profiles send: those of it that the ledger of the table has newer are left out.

    Only profiles that write attributes which the table's imports have are compared and marked. Where there is no
    ledger, nothing is.
    """

    def take_turn(fit: Sequence[Prepared[Profile]]) -> AbstractContextManager[Turn[Profile]]:
        if ledger is None:
            load.report.note(NO_LEDGER)
        return _turn(ledger, load, fit) if ledger and fit else no_turn(fit)

    return take_turn


@contextmanager
def _turn(ledger: Ledger, load: RestLoad, fit: Sequence[Prepared[Profile]]) -> Iterator[Turn[Profile]]:
    age = load.age
    with acquired(ledger.manifest_file, load.report.load_id, 1, load.report.task) as lease:
        columns = TableColumns(ledger)
        keys = {row: key for (row, _, profile), key in _keys_of(fit) if columns.concern(profile[1])}
        newer = _newer(ledger, list(keys.values()), age)
        if marked := sorted(set(keys.values()) - newer):
            names = {name for row, _, profile in fit if row in keys for name in profile[1]}
            columns.write_profiles(names, age)
            ledger.invalidate(lease, ((key, None) for key in marked), age)
        yield Turn([one for one in fit if keys.get(one[0]) not in newer], lease.check)
        compaction.maintain(ledger, lease)


def _keys_of(fit: Sequence[Prepared[Profile]]) -> Iterator[tuple[Prepared[Profile], str]]:
    """The records, each with its key as a ledger has it."""
    texts = _key_texts(pa.array([profile[0] for _, _, profile in fit], pa.string())).whole()
    return zip(fit, texts.to_pylist(), strict=True)


def _newer(ledger: Ledger, keys: Sequence[str], age: Age) -> set[str]:
    manifest = ledger.read()
    if is_below_watermark(manifest, age):
        return set(keys)
    return newer_keys(ledger.staging, manifest, [pa.array(keys, pa.string())], age) if keys else set()
