"""Who counted the rows of an import, told from what was seen of it."""

import json
from dataclasses import replace

import pytest

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp import readback
from optimove_provider.contract.dcp.evidence import evidence_of
from optimove_provider.contract.dcp.upload_history import HistoryEntry, ImportState, Outcome
from optimove_provider.contract.wire.evidence import Evidence


def test_a_file_whose_profiles_cannot_be_read_is_over_and_shown_by_nothing():
    outcome = Outcome.from_json(json.loads(json.dumps(readback.unreadable(["f.csv"], "403").as_json())))
    assert (outcome.state, outcome.is_over, readback.is_shown(outcome)) == (ImportState.DONE, True, False)
    assert readback.is_unreadable(outcome)
    assert outcome.sentence == "f.csv: unseen (unreadable): profiles cannot be read: 403"
    assert evidence_of(outcome, 5).as_json() == {"kind": "none", "why": "profiles cannot be read: 403"}


ENTRY = HistoryEntry("f.csv", "completed")


@pytest.mark.parametrize(
    ("entries", "evidence", "text"),
    [
        ([replace(ENTRY, rows_processed=5)], {"kind": "counted"}, "counted"),
        ([ENTRY], {"kind": "none", "why": "the upload history counts no rows"}, "none"),
        (
            [replace(ENTRY, evidence="read_back", read_back=2), replace(ENTRY, evidence="overwritten", read_back=1)],
            {"kind": "sampled", "read_back": 3, "of": 5},
            "sampled 3 of 5",
        ),
        (
            [replace(ENTRY, evidence="unchanged_before", read_back=0, message="they had them")],
            {"kind": "none", "why": "they had them"},
            "none",
        ),
        (
            [replace(ENTRY, evidence="no_values", message=message) for message in ("the one", "", "the other")],
            {"kind": "none", "why": "the one; the other"},
            "none",
        ),
    ],
)
def test_who_counted_is_told_from_what_was_seen(entries, evidence, text):
    found = evidence_of(Outcome(ImportState.DONE, tuple(entries), ()), 5)
    assert (found.as_json(), str(found)) == (evidence, text)
    assert Evidence.from_json(found.as_json()) == found


def test_what_others_wrote_is_neither_read_back_nor_a_beginning():
    sample = readback.Sample("f.csv", 1, 2, (Attribute("ltv", "long"),))
    rows = [readback.sampled(sample, key, {"ltv": "2"}, {"ltv": 1}) for key in "ab"]
    sample = replace(sample, customers=tuple(rows))

    def seen(**values):
        return Outcome(ImportState.WAIT, (readback.compare(sample, {key: {"ltv": values[key]} for key in "ab"}),), ())

    assert not readback.has_begun(seen(a=9, b=1))
    assert readback.has_begun(seen(a=2, b=1))
    assert evidence_of(seen(a=2, b=9), 5).as_json() == {"kind": "sampled", "read_back": 1, "of": 5}
    assert evidence_of(seen(a=9, b=9), 5).kind == "none"
