"""The account of a load: it adds up, and travels as small JSON."""

import json

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.evidence import Evidence
from optimove_provider.loads.report.bookkeeping import keep_account
from optimove_provider.loads.report.report import STATES, Report, Unaccounted
from optimove_provider.loads.state.staging import Staging

TARGET = {"optix": "uuid", "host": "https://example.com"}


@given(st.lists(st.integers(0, 100), min_size=5, max_size=5))
def test_rows_are_the_sum_of_what_became_of_them(counts):
    accepted, rejected, unchanged, stale, unsent = counts
    report = Report("1", TARGET, "failed", sum(counts), accepted, rejected, unchanged, stale)
    assert report.unsent == unsent


def test_a_new_report_has_sent_nothing():
    report = Report("1", TARGET)
    assert (report.state, report.rows, report.unsent) == (STATES[0], 0, 0)


def test_the_sentence_leaves_out_what_is_none():
    assert Report("1", TARGET, "committed", 3, accepted=3).sentence == "load 1: committed, 3 rows: 3 accepted"
    assert Report("1", TARGET, "failed", 3, accepted=1, rejected=1).sentence == (
        "load 1: failed, 3 rows: 1 accepted, 1 rejected, 1 unsent"
    )
    sampled = Report("1", TARGET, "committed", 3, accepted=3, evidence=Evidence("sampled", 2, 3).as_json())
    assert sampled.sentence == (
        "load 1: committed, 3 rows: 3 accepted (sampled: 2 rows of 3 were read back, and nobody counted the others)"
    )
    assert Report("1", TARGET, "nothing_to_send").sentence == "load 1: nothing_to_send, 0 rows"


def test_a_filed_report_holds_everything_and_the_tasks_result_little(tmp_path):
    staging = Staging(LocalFileSystem(), str(tmp_path))
    report = Report("1", TARGET, "failed", 5, accepted=2, problem="why", s3_keys=("a.csv",), seconds=1.5)
    result = report.file(staging)
    assert result == {
        "load_id": "1",
        "state": "failed",
        "rows": 5,
        "accepted": 2,
        "rejected": 0,
        "unchanged": 0,
        "stale": 0,
        "deleted": 0,
        "suppressed": 0,
        "unsent": 3,
        "visibility": "",
        "evidence": {"kind": "counted"},
        "report": staging.url("reports/1.json"),
    }
    assert json.loads(json.dumps(result)) == result
    filed = staging.read("reports/1.json")
    assert filed == {**filed, "target": TARGET, "problem": "why", "s3_keys": ["a.csv"], "seconds": 1.5, "unsent": 3}


@pytest.mark.parametrize(("accepted", "said"), [(1, "1 row fewer is"), (3, "1 row more is")])
def test_a_load_that_cannot_account_for_every_row_has_failed(accepted, said, staging_on_disk):
    report = Report("load", {}, rows=2, accepted=accepted)
    with pytest.raises(Unaccounted, match=said), keep_account(report, staging_on_disk):
        report.state = "committed"
    assert report.state == "failed"
