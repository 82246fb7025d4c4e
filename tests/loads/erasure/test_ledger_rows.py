"""Layers of a ledger written again without one key."""

from datetime import UTC, datetime

from optimove_provider.loads.erasure.forgotten_key import ForgottenKey
from optimove_provider.loads.erasure.ledger_rows import forget_rows, layers_with, pending_with, tidy
from optimove_provider.loads.ledger.compaction import compact
from tests.support.ledgers import hour, ledger_rows, some

NOBODY = "6f0f5d3a-0000-4000-8000-00000000aaaa"


def forgotten(target, key):
    target.clock.now = datetime.now(UTC)  # files are as old as they are
    lease = target.lease(NOBODY)
    names = forget_rows(target.ledger, lease, ForgottenKey(key))
    tidy(target.ledger, lease)
    lease.release()
    return names


def test_every_layer_with_the_key_is_written_again_and_the_old_files_go(target):
    target.load({"a": 1, "b": 1}, hour(1))
    target.load({"a": 2, "c": 1}, hour(2))
    target.load({"b": 2}, hour(3))
    before, version = target.manifest.layers, target.manifest.version
    names = forgotten(target, "a")
    assert len(names) == 2
    assert set(ledger_rows(target.ledger)) == {'"b"', '"c"'}
    assert target.manifest.version == version + 1
    assert [layer.origin for layer in target.manifest.layers] == [layer.origin for layer in before]
    named = {layer.path.rpartition("/")[2] for layer in target.manifest.layers}
    assert set(target.staging.names(target.ledger.layers.folder)) == named
    assert layers_with(target.ledger, ForgottenKey("a")) == []
    assert forgotten(target, "a") == []
    assert target.manifest.version == version + 1


def test_what_is_left_is_still_known_and_can_be_compacted(local_target):
    local_target.load({"a": 1, "b": 1}, hour(1))
    local_target.load({"a": 2, "b": 2}, hour(2))
    forgotten(local_target, "a")
    assert some(local_target.plan(local_target.frozen({"a": 1, "b": 2}, hour(3)))) == {"new": 1, "unchanged": 1}
    lease = local_target.lease(NOBODY)
    assert compact(local_target.ledger, lease)
    assert list(ledger_rows(local_target.ledger)) == ['"b"']


def test_a_layer_with_nothing_else_goes(local_target):
    local_target.load({"a": 1}, hour(1))
    forgotten(local_target, "a")
    assert local_target.manifest.layers == ()


def test_an_intent_that_has_the_key_is_told(local_target):
    frozen = local_target.frozen({"a": 1}, hour(1))
    lease = local_target.lease(frozen.load_id)
    local_target.write_intent(lease, local_target.plan(frozen))
    assert pending_with(local_target.ledger, ForgottenKey("a")) == [frozen.load_id]
    assert pending_with(local_target.ledger, ForgottenKey("b")) == []
