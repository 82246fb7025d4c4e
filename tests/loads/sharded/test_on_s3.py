"""Loads in shards with staging on S3, over real sockets: what workers on several machines share."""

import json
from contextlib import contextmanager

import pytest

from optimove_provider.loads.sharded.source_parts import (
    PartMissing,
    Settled,
    freeze_part,
    frozen_parts,
    list_parts,
    read_part,
    remove_parts,
)
from optimove_provider.loads.spool.freeze import Frozen
from optimove_provider.loads.spool.frozen_parts import FrozenParts, PartLost
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.read.parts import Part
from optimove_provider.records.to_json.encoding import Encoding
from tests.support.optix_target import LOAD_ID, Killed, numbered, record
from tests.support.workers.sharded_target import ShardedTarget

pytestmark = pytest.mark.any_version
OTHER = "6f0f5d3a-0000-4000-8000-00000000000b"
ROWS = 22_000  # five slices


@pytest.fixture
def target(tmp_path, s3):
    found = ShardedTarget(tmp_path)
    fs, bucket = s3
    found.staging = Staging(fs, f"{bucket}/staging", found.surroundings)
    return found


def test_a_worker_dies_another_comes_and_the_load_is_one(target):
    shards = target.plan(numbered(ROWS), shards=2)
    assert [(one.first, one.end) for one in shards] == [(0, 2), (2, 4)]
    target.shard(shards[1])
    target.kill_at = len(target.requests) + 1
    with pytest.raises(Killed):
        target.shard(shards[0])
    target.kill_at = 0
    assert target.shard(shards[0], try_number=2)["accepted"] == 10_000
    report = target.commit()
    assert target.visible == {str(row): record(row) for row in range(1, ROWS + 1)}
    assert (report.state, report.accepted, report.unsent) == ("committed", ROWS, 0)
    assert len({batch for _, _, batch in target.requests}) == 1
    target.pass_by(61)  # a request of the dead one may have been carried out until now
    assert target.plan(numbered(ROWS), OTHER, shards=2, mode="changed", source_is="snapshot") == []
    assert target.commit(OTHER).unchanged == ROWS


def test_what_nobody_commits_is_given_up_and_a_shard_that_is_cleared_takes_it_up(target):
    first, second = target.plan(numbered(ROWS), shards=2)
    target.shard(first)
    assert target.give_up() is True
    assert target.holder is None
    target.shard(second, try_number=2)
    assert target.commit().accepted == ROWS


def test_parts_of_a_source_are_read_and_frozen_by_several_and_put_together_in_their_order(target):
    every = list(numbered(ROWS))
    batches = {f"{number}.parquet": batch for number, batch in enumerate(every)}

    @contextmanager
    def open_part(part):
        yield iter([batches[name] for name in part.files])

    names, encoding = list(batches), Encoding("id", "string", "omit")
    wanted = [Part(tuple(names[:2])), Part(tuple(names[2:]))]
    parts = list_parts(target.staging, LOAD_ID, wanted, Settled(target.surroundings.now(), encoding))
    assert read_part(target.staging, parts[1], open_part)["rows"] == ROWS - 8000
    with pytest.raises(PartMissing, match="map index 0"):
        freeze_part(target.staging, parts[1])
    for _ in range(2):  # cleared once more: what it reads then is what counts
        assert read_part(target.staging, parts[0], open_part)["rows"] == 8000
    assert freeze_part(target.staging, parts[1])["frozen"] == ROWS - 8000
    with pytest.raises(PartLost, match=r"not frozen since .*: 1 part \(map index 0\)"):
        frozen_parts(target.staging, LOAD_ID, parts[0].listing, encoding)
    for _ in range(2):
        assert freeze_part(target.staging, parts[0])["frozen"] == 8000
    found = FrozenParts(lambda: frozen_parts(target.staging, LOAD_ID, parts[0].listing, encoding))
    folder = f"loads/{LOAD_ID}/spool-0"
    spool = found.put_together(target.staging, "id", folder, f"{folder}-aside", Frozen(), Findings())
    remove_parts(target.staging, LOAD_ID)
    assert target.staging.names(f"loads/{LOAD_ID}/source") == ["parts.json"]
    slices = list(spool.parts.read(target.staging, spool.parts.numbers))
    assert [row for one in slices for row in one.rows.to_pylist()] == list(range(1, ROWS + 1))
    sent = [json.loads(text) for one in slices for text in one.records.to_pylist()]
    assert sent == [record(row) for row in range(1, ROWS + 1)]
