"""Findings and reports: what is cut, what is counted, and what people and programs read."""

import json

from optimove_provider.records.findings.findings import ERROR, WARNING, Finding, Findings


def finding(row: int, severity: str = ERROR, rule: str = "date", value: str = "2022-13-01") -> Finding:
    return Finding(row, row + 1, row * 20, "birthDate", rule, value, "expected a day", severity)


def test_value_is_cut_at_200_characters():
    assert finding(1, value="é" * 201).value == "é" * 200
    assert finding(1, value="x" * 200).value == "x" * 200


def test_json_has_exactly_the_published_shape():
    report = Findings(file="people.csv", bytes=120, rows=5, valid_rows=4)
    report.add(finding(3))
    assert json.loads(json.dumps(report.as_json())) == {
        "file": "people.csv",
        "bytes": 120,
        "rows": 5,
        "valid_rows": 4,
        "findings": [
            {
                "row": 3,
                "line": 4,
                "byte": 60,
                "column": "birthDate",
                "rule": "date",
                "value": "2022-13-01",
                "message": "expected a day",
                "severity": "error",
            }
        ],
        "counts": {"date": 1},
        "truncated": False,
    }
    assert list(report.as_json()) == [
        *("file", "bytes", "rows", "valid_rows", "findings", "counts", "truncated"),
    ]


def test_the_cap_limits_what_is_kept_and_never_the_counting():
    report = Findings(max_findings=2)
    for row in range(1, 4):
        report.add(finding(row))
        assert report.truncated is (row > 2)
    report.add(finding(4, WARNING, rule="bool"))
    assert [kept.row for kept in report.findings] == [1, 2]
    assert report.counts == {"date": 3, "bool": 1}
    assert (report.errors, report.total) == (3, 4)


def test_the_cap_is_ten_thousand_by_default():
    report = Findings()
    for row in range(10_001):
        report.add(finding(row))
    assert len(report.findings) == 10_000
    assert report.truncated
    assert report.errors == 10_001


def test_description_shows_totals_errors_first_and_how_many_more():
    report = Findings(file="people.csv", rows=9, valid_rows=7)
    report.add(finding(1, WARNING, rule="bool", value="TRUE"))
    report.add(finding(3))
    report.add(Finding(0, 1, 0, "", "size", "", "too big"))
    report.add(Finding(8, 12, 99, "customerId", "customer-id", "", "every row needs its customerId"))
    assert report.describe(limit=4).splitlines() == [
        "people.csv: 9 rows, 7 valid, 3 errors, 1 warning",
        "row 3, line 4, column 'birthDate', rule date: value '2022-13-01': expected a day",
        "line 1, rule size: too big",
        "row 8, line 12, column 'customerId', rule customer-id: value '': every row needs its customerId",
        "row 1, line 2, column 'birthDate', rule bool (warning): value 'TRUE': expected a day",
    ]
    assert report.describe(limit=1).splitlines()[1:] == [
        "row 3, line 4, column 'birthDate', rule date: value '2022-13-01': expected a day",
        "... and 3 more",
    ]


def test_description_counts_what_was_not_kept_and_keeps_a_value_on_its_line():
    report = Findings(max_findings=1)
    report.add(finding(1, value="a\nb"))
    report.add(finding(2))
    assert report.describe().splitlines() == [
        "input: 0 rows, 0 valid, 2 errors, 0 warnings",
        "row 1, line 2, column 'birthDate', rule date: value 'a\\nb': expected a day",
        "... and 1 more",
    ]


def test_description_of_a_clean_file_is_one_line():
    assert Findings(file="a.csv", rows=2, valid_rows=2).describe() == "a.csv: 2 rows, 2 valid, 0 errors, 0 warnings"


def test_warnings_take_half_of_the_room_and_errors_all():
    report = Findings(max_findings=4)
    for row in range(1, 5):
        report.add(finding(row, WARNING, rule="bool"))
    for row in range(5, 9):
        report.add(finding(row))
    assert [one.row for one in report.findings] == [1, 2, 5, 6]
    assert (report.total, report.errors, report.counts) == (8, 4, {"bool": 4, "date": 4})
    errors = Findings(max_findings=4)
    for row in range(1, 9):
        errors.add(finding(row))
    assert [one.row for one in errors.findings] == [1, 2, 3, 4]
    only = Findings(max_findings=1)
    only.add(finding(1, WARNING))
    assert len(only.findings) == 1


def test_warnings_are_counted_by_rule_over_all_columns_without_errors():
    report = Findings()
    report.add(finding(1, WARNING, rule="bool"))
    report.count("bool", "optIn", WARNING, 3)
    report.count("bool", "optIn", ERROR, 2)
    report.count("date", "birthDate", ERROR)
    report.count("date", "birthDate", WARNING)
    report.count("date", "birthDate", WARNING)
    assert report.warnings() == {"bool": 4, "date": 2}
    assert (report.errors, report.total, report.counts) == (3, 9, {"bool": 6, "date": 3})


def test_the_remark_about_ids_has_the_first_warning_of_each_rule_that_is_kept():
    report = Findings(max_findings=4)
    assert report.warning_note("the report") == ""
    report.add(finding(1, WARNING, rule="bool"))
    assert report.warning_note("the report") == ""
    report.add(finding(2, WARNING, rule="id-case"))
    report.add(finding(3, WARNING, rule="id-case"))
    report.add(finding(4, WARNING, rule="id-padding"))
    assert report.warning_note("the report") == (
        "warnings about ids: id-case 2 (row 2, line 3, column 'birthDate', rule id-case (warning): value '2022-13-01': "
        "expected a day); id-padding 1. All of them: the report"
    )
    assert report.warning_note("the report", "bo").startswith("warnings about ids: bool 1 (row 1, ")
