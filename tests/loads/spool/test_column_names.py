"""A colon in a column's name, which no campaign can ask for: told by uploads, updates and validate, not by DCP."""

import io

import pyarrow as pa
import pytest

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.loads.optix.load import plan
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from optimove_provider.records.key import Key
from optimove_provider.records.validate.validate import Options, check_csv
from tests.support.optix_target import Target, opened

ROWS = [pa.RecordBatch.from_pydict({"id": ["1", "2"], "a:b": ["x", None], "c": ["y", "z"]})]


@pytest.fixture
def target(tmp_path):
    return Target(tmp_path)


def uploaded(target):
    target.load(ROWS)


def planned(target):
    target.report = Report("6f0f5d3a-0000-4000-8000-00000000f00d", {})
    plan(target.client, lambda: opened(ROWS), target.staging, target.report, target.wanted())


def updated(target):
    target.report = Report("6f0f5d3a-0000-4000-8000-00000000f00d", {})
    load_update(target.client, lambda: opened(ROWS), target.staging, target.report, Update(target.wanted()))


@pytest.mark.parametrize("write", [uploaded, planned, updated])
def test_a_column_with_a_colon_is_told_in_log_and_report_and_travels_all_the_same(target, write, caplog):
    write(target)
    (note,) = [one for one in target.report.notes if "colon" in one]
    assert note.startswith("columns 'a:b': a colon in a column's name: a campaign's formula")
    assert note in caplog.text
    assert target.report.warnings == {"header-colon": 1}
    assert "a:b" not in target.report.formulas
    if write is not planned:
        assert target.report.accepted == 2
        assert target.visible["1"]["a:b"] == "x"


def test_a_retry_says_so_again(target):
    target.kill_at = 1
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the process dies
        uploaded(target)
    target.kill_at = 0
    uploaded(target)
    assert any("colon" in note for note in target.report.notes)


def test_validate_says_so_for_opti_x_and_not_for_dcp():
    text = b"id,a:b,c\n1,x,y\n"
    findings = check_csv(io.BytesIO(text), None, Options(key=Key.of_optix("id")))
    assert [(one.rule, one.column, one.severity) for one in findings.findings] == [("header-colon", "a:b", "warning")]
    attributes = [Attribute("a:b", "string"), Attribute("c", "string")]
    assert check_csv(io.BytesIO(text.replace(b"id,", b"customerId,")), attributes).total == 0
