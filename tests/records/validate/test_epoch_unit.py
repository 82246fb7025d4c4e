"""A file whose epochs are milliseconds, and somebody says so."""

import io

import pytest

from optimove_provider.contract.cells.datatypes import Attribute, in_unit
from optimove_provider.records.validate.validate import Options, check_csv

SINCE = [Attribute("since", "datetime", "epoch")]
SECONDS, MILLISECONDS = "1651676123", "1651676123000"


def found(cells, unit, **options):
    text = "\n".join(["customerId,since", *(f"{number},{cell}" for number, cell in enumerate(cells)), ""])
    report = check_csv(io.BytesIO(text.encode()), in_unit(SINCE, unit), Options(**options))
    return [(finding.row, finding.rule, finding.severity) for finding in report.findings]


@pytest.mark.parametrize(("unit", "right"), [("seconds", SECONDS), ("milliseconds", MILLISECONDS)])
def test_the_declared_unit_is_right(unit, right):
    assert found([right] * 1000, unit, strict=True) == []


@pytest.mark.parametrize(
    ("unit", "rule", "other"),
    [("seconds", "epoch", MILLISECONDS), ("milliseconds", "epoch_milliseconds", SECONDS)],
)
@pytest.mark.parametrize(("strict", "severity"), [(False, "warning"), (True, "error")])
def test_the_other_unit_is_warned_of_or_refused(unit, rule, other, strict, severity):
    assert found([other], unit, strict=strict) == [(1, rule, severity)]


def test_what_is_no_epoch_is_none_in_either_unit():
    assert found(["-1", "1.5", "x"], "milliseconds") == [(row, "epoch_milliseconds", "error") for row in (1, 2, 3)]


@pytest.mark.parametrize(
    ("unit", "cell", "says"),
    [
        ("seconds", "20220502", "a date written yyyymmdd, and as seconds it is 1970-08-23T00:48:22Z"),
        ("seconds", "202205", "a date written yyyymm,"),
        ("seconds", "44683", "a spreadsheet's days since 1900, and as seconds it is 1970-01-01T12:24:43Z"),
        ("seconds", "2022", "a year,"),
        ("seconds", "42", "no instant,"),
        ("seconds", "20220502101059", "a date written yyyymmddhhmmss;"),
        ("seconds", "202205021010", "a date written yyyymmddhhmm;"),
        ("seconds", "1651676123000000", "microseconds;"),
        ("seconds", "1651676123000000000", "nanoseconds;"),
        ("seconds", MILLISECONDS, "milliseconds, which the vendor's API reference gave"),
        ("milliseconds", "1651676123000000", "microseconds;"),
        ("milliseconds", "20220502101059", "a date written yyyymmddhhmmss;"),
        ("milliseconds", "20220502", "seconds, and epoch_unit says milliseconds"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 4096])
def test_what_is_no_plausible_instant_is_warned_of_and_named(unit, cell, says, block_bytes):
    text = f"customerId,since\n1,{cell}\n"
    report = check_csv(io.BytesIO(text.encode()), in_unit(SINCE, unit), Options(block_bytes=block_bytes))
    (warning,) = report.findings
    assert (warning.severity, report.valid_rows) == ("warning", 1)
    assert f"this looks like {says}" in warning.message


def test_strict_refuses_what_the_vendor_disputes_and_only_warns_of_what_we_doubt():
    assert found(["20220502", MILLISECONDS], "seconds", strict=True) == [(1, "epoch", "warning"), (2, "epoch", "error")]


@pytest.mark.parametrize("cell", ["44582400", "100000", "99999999999"])
def test_the_first_years_after_1970_are_plausible(cell):
    assert found([cell], "seconds") == []
