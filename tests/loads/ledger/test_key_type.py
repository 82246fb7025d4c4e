"""One ledger, keys of one type: since nobody knows whether the vendor takes 1 and "1" for one record."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.key_type import OtherKeyType
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.optix.batch import NothingAccepted
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.age import Age
from tests.support.optix_target import Killed, opened
from tests.support.optix_transactions import TransactionTarget, night, planned

pytestmark = pytest.mark.any_version

IDENTITIES = pytest.mark.parametrize("identity", ["typed", "text"])


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def key_type(target):
    return target.ledger.read().key_type


def of_an_older_version(target):
    """The ledger as a version left it that knew no type of keys."""
    path = f"{target.ledger.manifest_file.folder}/manifest.json"
    known = target.staging.read(path)
    del known["key_type"]
    target.staging.write(path, known)


def updated(target, values, number, **settings):
    return target.update(values, night(number), **settings)


def full(target, values, number, **settings):
    return target.sync(values, night(number), mode="full", **settings)


def changed(target, values, number, **settings):
    return target.sync(values, night(number), source_is="delta", **settings)


def expiring(target, values, number, **settings):
    return target.sync(values, night(number), on_removed="expire", **settings)


@IDENTITIES
@pytest.mark.parametrize("write", [updated, full, changed, expiring, planned])
@pytest.mark.parametrize(("first", "other"), [("string", "integer"), ("integer", "string")])
def test_keys_of_another_type_are_refused_before_any_request_and_nothing_is_lost(target, identity, write, first, other):
    target.state.switches = Switches(key_identity=identity)
    target.sync({"1": "a"}, night(0), key_type=first)
    sent = len(target.state.requests)
    with pytest.raises(OtherKeyType) as refused:
        write(target, {"1": "b"}, night(1) if write is planned else 1, key_type=other)
    said = str(refused.value)
    assert f"the keys in its ledger are of type {first}" in said
    assert f"key_type={other!r}" in said
    assert f"airflow optimove ledger forget {target.data_connection_uuid}" in said
    assert (len(target.state.requests), refused.value.retry_helps) == (sent, False)
    target.sync({"1": "a"}, night(2), key_type=first)
    assert list(target.values.values()) == ["a"]


def test_the_source_is_not_read_for_keys_of_another_type(target):
    target.sync({"1": "a"}, night(0))

    def unread():
        raise AssertionError("the source was read")

    with pytest.raises(OtherKeyType):
        load_update(target.client, unread, target.staging, Report("1", {}), Update(target.wanted(key_type="integer")))


def test_an_update_fixes_the_type_too(target):
    target.update({"1": "a"}, night(0), key_type="integer")
    assert key_type(target) == "integer"
    with pytest.raises(OtherKeyType):
        target.sync({"1": "b"}, night(1))


def test_the_type_is_fixed_by_the_first_rows_that_may_be_sent(target):
    target.kill_at = 1
    with pytest.raises(Killed):
        target.sync({"1": "a"}, night(0))
    target.kill_at = 0
    assert (target.ledger.read().layers, key_type(target)) == ((), "string")
    with pytest.raises(OtherKeyType):
        target.sync({"1": "b"}, night(1), key_type="integer")


def test_a_load_of_which_certainly_nothing_arrived_fixes_no_type(target):
    target.state.switches = Switches(poison="a")
    with pytest.raises(NothingAccepted):
        target.sync({"1": "a"}, night(0), key_type="integer")
    assert key_type(target) == ""
    target.state.switches = Switches()
    assert target.sync({"1": "b"}, night(1)).accepted == 1


def empty(target):
    return target.sync({}, night(0), key_type="integer")


def no_key_is_one(target):
    return target.sync({"abc": "a"}, night(0), key_type="integer", max_rejected=5)


def nor_of_a_delta(target):
    return changed(target, {"abc": "a"}, 0, key_type="integer", max_rejected=5)


def none_is_fit(target):
    """Keys that are right, of rows that cannot travel: the ledger learns of them that they are not there."""
    nulls = {"key_type": "integer", "max_rejected": 5, "nulls": "refuse", "source_is": "delta"}
    return target.sync({"1": None, "2": None}, night(0), **nulls)


def an_update_without_rows(target):
    return target.update({}, night(0), key_type="integer")


def an_update_of_which_none_is_fit(target):
    return target.update({"1": None}, night(0), key_type="integer", max_rejected=5, nulls="refuse")


def a_full_load_of_nothing(target):
    return full(target, {}, 0, key_type="integer")


SENDING_NOTHING = [empty, no_key_is_one, nor_of_a_delta, none_is_fit, a_full_load_of_nothing, an_update_without_rows]


@pytest.mark.parametrize("old", [False, True], ids=["", "of an older version"])
@pytest.mark.parametrize("first", [*SENDING_NOTHING, an_update_of_which_none_is_fit])
def test_a_load_that_sends_nothing_fixes_no_type(target, first, old):
    first(target)
    assert (target.sent, key_type(target)) == (0, "")
    if old and first is not an_update_without_rows:  # which leaves no ledger
        of_an_older_version(target)
    assert expiring(target, {"1": "b"}, 1).accepted == 1
    assert (target.values, key_type(target)) == ({"1": "b"}, "string")


@pytest.mark.parametrize("later", [empty, an_update_without_rows])
def test_nor_does_it_change_one(target, later):
    target.sync({"1": "a"}, night(0))
    with pytest.raises(OtherKeyType):
        later(target)
    assert expiring(target, {}, 1).expired == 1
    assert expiring(target, {}, 2).state == "nothing_to_send"
    assert key_type(target) == "string"


@IDENTITIES
@pytest.mark.parametrize(("known", "other"), [("string", "integer"), ("integer", "string")])
def test_a_ledger_of_an_older_version_has_the_type_of_its_keys(target, identity, known, other):
    target.state.switches = Switches(key_identity=identity)
    target.sync({"1": "a"}, night(0), key_type=known)
    of_an_older_version(target)
    with pytest.raises(OtherKeyType, match=f"are of type {known}"):
        target.sync({"1": "b"}, night(1), key_type=other)
    report = target.sync({"1": "a", "2": "b"}, night(1), key_type=known)
    assert (report.accepted, report.unchanged, key_type(target)) == (1, 1, known)


def test_an_older_ledger_with_keys_of_both_types_refuses_none_and_says_what_that_means(target):
    target.sync({"1": "a"}, night(0))
    target.ledger.manifest_file.change(lambda manifest: replace(manifest, key_type=""))
    lease = acquire(target.ledger.manifest_file, "older", 1)
    target.ledger.invalidate(lease, [("1", None)], Age.of(night(0)))
    lease.release()
    report = target.sync({"1": "b"}, night(1))
    assert any("keys of both types" in note and 'mode="full"' in note for note in report.notes)
    assert (target.values, key_type(target)) == ({"1": "b"}, "string")


def test_a_manifest_keeps_its_type(target):
    target.sync({"1": "a"}, night(0), key_type="integer")
    written = json.loads((target.staging.open(f"{target.ledger.manifest_file.folder}/manifest.json")).read())
    assert (written["key_type"], Manifest().key_type) == ("integer", "")


@IDENTITIES
def test_numbers_and_texts_of_one_source_travel_as_one_type(target, identity):
    """What lies behind: integers travel as text unless key_type says otherwise, and so meet the same ledger."""
    target.state.switches = Switches(key_identity=identity)
    target.sync({"1": "a"}, night(0))
    target.loads += 1
    rows = [pa.RecordBatch.from_pydict({"id": [1], "value": ["b"]})]
    report = Report(f"6f0f5d3a-0000-4000-8000-{target.loads:012}", {})
    load_update(target.client, lambda: opened(rows), target.staging, report, Update(target.wanted(generation=night(1))))
    assert target.sync({"1": "a"}, night(2)).accepted == 1
    assert target.values == {"1": "a"}
