"""Owed rows as files: what a load sends of them, and the ages by which they are told from newer words on their keys."""

from datetime import timedelta

import pyarrow as pa

from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.compaction import GRACE, vacuum
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Intent, Manifest
from optimove_provider.loads.owed.by_hand import Wanted, by_hand, drop_owed, owed_rows
from optimove_provider.loads.owed.rows import OWED, SENT, as_sent, read_owed, write_owed
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.state.age import Age
from tests.support.ledgers import NOON, TARGET, Target, age, hour

AGES = {"k": age(1), "l": age(1, 3), "m": Age(hour(3) - timedelta(microseconds=1), hour(3))}
"""Read at the instant that the rows stand for, later, and just after it."""


def batch(ages):
    rows = [
        {
            **dict.fromkeys(OWED.names, None),
            "key": f'"{key}"',
            "record": f'{{"id":"{key}"}}',
            "generation": one.generation,
            "opened": one.opened,
            "tries": 0,
            "since": NOON,
            "load_id": f"load of {key}",
        }
        for key, one in ages.items()
    ]
    return pa.RecordBatch.from_pylist(rows, OWED)


def test_while_a_row_is_owed_the_ledger_says_of_its_key_what_is_just_older_than_it(any_staging):
    row_files.write(any_staging, "loads/1/owed/rows.parquet", as_sent([batch(AGES)]), SENT)
    intent = Intent("loads/1/sent", age(9), "live", 1, 2, "loads/1/owed")
    sources = layers.of_intents(any_staging, Manifest(intents={"load": intent}))
    found = [row for one in layers.read(any_staging, sources, row_files.LEDGER.names) for row in one.to_pylist()]
    marks = {row["key"][1:-1]: Age(row["generation"], row["opened"]) for row in found}
    assert marks == {key: one.just_before for key, one in AGES.items()}
    assert all(marks[key] < one for key, one in AGES.items())
    assert {row["fingerprint"] for row in found} == {None}, "nobody knows whether they arrived"


def test_owed_rows_are_numbered_over_all_batches():
    found = [row for one in as_sent([batch(AGES), batch({"n": age(2)})]) for row in one["_row"].to_pylist()]
    assert found == [1, 2, 3, 4]


def test_where_none_is_left_there_is_no_file(any_staging):
    assert write_owed(any_staging, "ledgers/x/owed", [batch({})]) is None
    assert any_staging.names("ledgers/x/owed") == []
    assert list(read_owed(any_staging, None)) == []


def test_what_is_dropped_by_hand_makes_another_version_and_its_file_goes_a_day_later(staging_on_disk):
    ledger = Ledger(staging_on_disk, TARGET)
    ledger.manifest_file.change(
        lambda manifest: manifest.owing(write_owed(staging_on_disk, ledger.owed_folder, [batch(AGES)]), NOON).changed()
    )
    with by_hand(ledger) as lease:
        assert drop_owed(ledger, lease, Wanted(('"k"', '"other"'))) == 1
    manifest = ledger.read()
    assert (manifest.version, manifest.holder) == (2, None)
    assert [row["key"] for row in owed_rows(staging_on_disk, manifest)] == ["l", "m"]
    assert [row["key"] for row in owed_rows(staging_on_disk, manifest, Wanted(load_id="load of m"))] == ["m"]
    target = Target(staging_on_disk, staging_on_disk.surroundings.now)
    assert len(staging_on_disk.names(ledger.owed_folder)) == 2
    lease = target.lease("6f0f5d3a-0000-4000-8000-00000000beef")
    vacuum(ledger, lease, staging_on_disk.surroundings.now() + GRACE)
    assert staging_on_disk.names(ledger.owed_folder) == [manifest.owed.path.rpartition("/")[2]]
