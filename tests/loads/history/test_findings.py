"""The findings of a load, read back by rule."""

import pytest

from optimove_provider.loads.history.findings import EXAMPLES, findings_of
from optimove_provider.loads.history.loads import LoadIndex
from tests.support.optix_target import Target, numbered

REPORT = {"load_id": "1", "warnings": {"id-case": 7}}


def told(rule, row, severity="warning"):
    return {"row": row, "column": "id", "rule": rule, "value": f"v{row}", "message": "odd", "severity": severity}


@pytest.fixture
def staging(tmp_path):
    return Target(tmp_path).staging


def test_errors_come_first_then_what_is_most_with_the_first_examples(staging):
    listed = [told("id-case", row) for row in range(1, 8)] + [told("date", 9, "error"), told("id-null", 3)]
    counts = {"id-case": 7, "date": 1, "id-null": 1}
    staging.write("reports/1-findings.json", {"findings": listed, "counts": counts})
    found = findings_of(staging, REPORT)
    assert [(one.rule, one.severity, one.count) for one in found] == [
        ("date", "error", 1),
        ("id-case", "warning", 7),
        ("id-null", "warning", 1),
    ]
    assert [example.row for example in found[1].examples] == list(range(1, EXAMPLES + 1))


@pytest.mark.parametrize("odd", [None, {"findings": None, "counts": None}, {"findings": ["x", {"rule": "id-case"}]}])
def test_without_the_file_or_with_an_odd_one_the_report_alone_tells(staging, odd):
    if odd:
        staging.write("reports/1-findings.json", odd)
    assert [(one.rule, one.count) for one in findings_of(staging, REPORT)] == [("id-case", 7)]


def test_findings_are_no_load(tmp_path):
    target = Target(tmp_path)
    target.load(numbered(2))
    target.staging.write(f"reports/{target.report.load_id}-findings.json", {"load_id": "x", "findings": []})
    assert [load.load_id for load in LoadIndex().loads(target.staging)] == [target.report.load_id]
