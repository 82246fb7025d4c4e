"""Loads that look like an accident are stopped, with the numbers."""

from dataclasses import replace

import pytest

from optimove_provider.loads.plan.guards import GuardStopped, check
from optimove_provider.options import Guards
from tests.support.ledgers import hour

pytestmark = pytest.mark.any_version

SNAPSHOT = {"source_is": "snapshot"}
MANY = dict.fromkeys(range(40), 1)


def judge(target, rows, guards=None, **how):
    check(target.plan(target.frozen(rows, hour(2), **how)), target.manifest, guards or Guards())


def test_a_first_load_has_nothing_to_compare_with(local_target):
    judge(local_target, {"a": 1}, **SNAPSHOT)
    judge(local_target, {"a": 1})


def test_an_empty_snapshot(local_target):
    with pytest.raises(GuardStopped, match=r"the source is empty \(allow_empty\)") as caught:
        judge(local_target, {}, **SNAPSHOT)
    assert not caught.value.retry_helps
    judge(local_target, {}, **SNAPSHOT, guards=Guards(allow_empty=True))
    judge(local_target, {})


def test_rows_down_by_half(local_target):
    local_target.load(MANY, hour(1), **SNAPSHOT)
    judge(local_target, dict.fromkeys(range(20), 1), **SNAPSHOT)
    less = dict.fromkeys(range(19), 1)
    told = r"19 rows are 47.5% of the 40 of the newest snapshot, of 2026-05-02 13:00 UTC \(min_rows_share=0.5\)"
    with pytest.raises(GuardStopped, match=told):
        judge(local_target, less, **SNAPSHOT)
    judge(local_target, less, **SNAPSHOT, guards=Guards(min_rows_share=None))
    judge(local_target, less)


def test_a_column_that_is_empty_now(local_target):
    local_target.load(MANY, hour(1), **SNAPSHOT)
    empty = dict.fromkeys(MANY)
    told = r"column 'value' is gone; 100% of the newest snapshot's rows had it \(min_filled_share=0.1\)"
    with pytest.raises(GuardStopped, match=told):
        judge(local_target, empty, **SNAPSHOT)
    with pytest.raises(GuardStopped, match=r"column 'value' has a value in 10.0% of the rows, not in 100%"):
        judge(local_target, {**empty, **dict.fromkeys(range(4), 1)}, **SNAPSHOT)
    off = Guards(min_filled_share=None, max_changed_share=None)
    judge(local_target, empty, **SNAPSHOT, guards=off)
    judge(local_target, {**empty, **dict.fromkeys(range(5), 1)}, **SNAPSHOT, guards=replace(off, min_filled_share=0.1))


def test_a_column_that_was_empty_before(local_target):
    local_target.load(dict.fromkeys(MANY), hour(1), **SNAPSHOT)
    judge(local_target, dict.fromkeys(MANY), **SNAPSHOT)


def test_a_column_that_was_as_empty_as_is_allowed_may_stay_so(local_target):
    four_of_forty = {**dict.fromkeys(MANY), **dict.fromkeys(range(4), 1)}
    local_target.load(four_of_forty, hour(1), **SNAPSHOT)
    judge(local_target, four_of_forty, **SNAPSHOT)


@pytest.mark.parametrize("source_is", ["snapshot", "delta"])
def test_too_many_changes(local_target, source_is):
    local_target.load(MANY, hour(1), **SNAPSHOT)
    judge(local_target, {**MANY, **dict.fromkeys(range(20), 2)}, source_is=source_is)
    more = {**MANY, **dict.fromkeys(range(21), 2)}
    told = r"21 records change of about 40 that the target has, 52.5% of them \(max_changed_share=0.5\)"
    with pytest.raises(GuardStopped, match=told):
        judge(local_target, more, source_is=source_is)
    judge(local_target, more, source_is=source_is, guards=Guards(max_changed_share=None))


def test_of_a_few_keys_all_may_change(local_target):
    local_target.load({"a": 1, "b": 1}, hour(1), **SNAPSHOT)
    judge(local_target, {"a": 2, "b": 2}, **SNAPSHOT)


def test_twenty_keys_are_judged(local_target):
    twenty = dict.fromkeys(range(20), 1)
    local_target.load(twenty, hour(1), **SNAPSHOT)
    with pytest.raises(GuardStopped, match=r"11 records change of about 20 that the target has, 55.0% of them"):
        judge(local_target, {**twenty, **dict.fromkeys(range(11), 2)}, **SNAPSHOT)
    with pytest.raises(GuardStopped, match=r"lacks 5 of 20 records that the target has, 25.0% of them: 5 newly"):
        judge(local_target, dict.fromkeys(range(15), 1), **SNAPSHOT, on_removed="expire")
    judge(local_target, dict.fromkeys(range(16), 1), **SNAPSHOT, on_removed="expire")


def test_everything_is_named_at_once(local_target):
    local_target.load(MANY, hour(1), **SNAPSHOT)
    with pytest.raises(GuardStopped, match=r"19 rows .*; column 'value' is gone.*Nothing was sent"):
        judge(local_target, dict.fromkeys(range(19)), **SNAPSHOT)


def test_a_load_that_sends_nothing_is_not_stopped(local_target):
    local_target.load(MANY, hour(3), **SNAPSHOT)
    judge(local_target, {}, **SNAPSHOT)
