"""Where a key is meant, and where not: in JSON, in rows and in sentences."""

import json

import pytest

from optimove_provider.loads.erasure.forgotten_key import GONE, PUT, ForgottenKey

REPORT = {
    "rows": 42,
    "examples": ["row 42: fine", "row 7: column 'id': '42' is odd"],
    "expiry_examples": ["key '42': refused", "key 42: refused", "key '421': refused"],
    "plan": {"new": 42, "samples": [{"kind": "new", "key": "42", "columns": {}}, {"kind": "new", "key": "7"}]},
    "notes": ['lacks 42 of 99 records, such as "42", "421"'],
    "gone": ['"42"', '"7"'],
}


def test_a_report_keeps_its_counts_and_loses_the_key():
    cleaned = ForgottenKey("42").without(REPORT)
    assert cleaned == {
        "rows": 42,
        "examples": ["row 42: fine", f"row 7: column 'id': '{PUT}' is odd"],
        "expiry_examples": [f"key '{PUT}': refused", f"key {PUT}: refused", "key '421': refused"],
        "plan": {"new": 42, "samples": [{"kind": "new", "key": "7"}]},
        "notes": [f'lacks 42 of 99 records, such as "{PUT}", "421"'],
        "gone": ['"7"'],
    }
    assert json.loads(json.dumps(cleaned)) == cleaned


def test_names_of_fields_stay_whatever_the_key_is_called_and_reasons_do_not():
    report = {"rows": 1, "reasons": {"key 'rows': odd": 1}, "columns": {"rows": ["rows", "1"]}}
    cleaned = {"rows": 1, "reasons": {f"key '{PUT}': odd": 1}, "columns": {"rows": [PUT, "1"]}}
    assert ForgottenKey("rows").without(report) == cleaned


def test_an_integer_key_of_a_sample_is_the_same_key():
    assert ForgottenKey("42").without([{"key": 42}, {"key": 421}]) == [{"key": 421}]
    assert ForgottenKey("42").without({"key": 42}) is GONE
    assert ForgottenKey("1").without([{"key": True}]) == [{"key": True}]


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("C-1", "C-1 and C-10 and XC-1", f"{PUT} and C-10 and XC-1"),
        ("it's", "key \"it's\": refused, it's so", f'key "{PUT}": refused, {PUT} so'),
        ("né\n", "key 'né\\n': odd", f"key '{PUT}': odd"),
        ("a.b", "'axb' is not 'a.b'", f"'axb' is not '{PUT}'"),
        ("123456", "123456 of 1234567 rows", f"{PUT} of 1234567 rows"),
    ],
)
def test_a_sentence_loses_the_key_and_nothing_that_looks_like_it(key, text, said):
    assert ForgottenKey(key).in_words(text) == said


def test_a_row_is_told_by_its_keys_field_where_that_is_known():
    key = ForgottenKey("42")
    assert key.has_row({"id": "42", "n": 1}, "id")
    assert key.has_row({"id": 42}, "id")
    assert not key.has_row({"id": "7", "n": 42}, "id")
    assert key.has_row({"who": "7", "n": 42}, "")
    assert not key.has_row({"customerId": "7", "n": 42}, "")
    assert key.has_row({"CUSTOMERID": "42"}, "")
    assert key.has_row('"42",1', "id")
    assert not key.has_row("421,42", "id")
