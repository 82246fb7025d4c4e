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
