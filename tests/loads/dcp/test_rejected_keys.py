"""What a newer import or write of profiles had and could not bring, an older one does not bring either."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from optimove_provider.loads.dcp.load import confirm, run
from optimove_provider.loads.profiles.profiles import ProfileEncoder, write_profiles
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.report import Report
from optimove_provider.options import Guards
from tests.support import s3_target
from tests.support.dcp.profiles import ATTRIBUTES, client, load, state, table
from tests.support.dcp_imports import WAIT, another, changed
from tests.support.ledgers import ledger_rows
from tests.support.s3_target import imported, of, rows_of

s3, target = s3_target.s3, s3_target.target  # fixtures
__all__ = ["client", "load", "state", "table"]  # fixtures
NOON, HOUR = datetime(2026, 5, 1, 12, tzinfo=UTC), timedelta(hours=1)
NO_GUARDS = Guards(max_changed_share=None, min_filled_share=None)
REFUSED = b"customerId,ltv\n1,much\n3,1\n"


def delta(target, source, generation):
    one = another(target)
    report = one.report()
    how = {"mode": "changed", "generation": generation, "on_invalid": "split", "max_rejected": None}
    options = changed(one, source, report, source_is="delta", guards=NO_GUARDS).changed
    run(one.load(source, report, one.ledger, changed=options, **how), WAIT)
    if report.state == "uploaded":
        confirm(one.staging, report, imported(report.s3_keys))
    return report


@pytest.mark.parametrize(
    "source",
    [
        REFUSED,
        of(b"ltv\tcustomerId\nmuch\t1\n1\t3\n", "rows.tsv"),
        b'customerId,ltv\n"1",much\n3,1\n',
        rows_of(pa.RecordBatch.from_pydict({"customerId": ["1", "3"], "ltv": [float("nan"), 1.0]})),
    ],
    ids=["csv", "tsv", "quoted", "rows"],
)
def test_an_older_import_leaves_out_what_a_newer_one_had_to_refuse(target, source):
    report = delta(target, source, NOON + HOUR)
    assert (report.accepted, report.rejected) == (1, 1)
    report = delta(target, b"customerId,ltv\n1,1\n2,1\n", NOON)
    assert (report.accepted, report.stale) == (1, 1)
    assert delta(target, b"customerId,ltv\n1,1\n", NOON + HOUR).accepted == 1


def test_what_the_table_has_of_a_refused_row_stays_known(target):
    delta(target, b"customerId,ltv\n1,5\n", NOON)
    delta(target, REFUSED, NOON + 2 * HOUR)
    assert delta(target, b"customerId,ltv\n1,6\n", NOON + HOUR).stale == 1
    assert delta(target, b"customerId,ltv\n1,5\n", NOON + 3 * HOUR).unchanged == 1


@pytest.mark.parametrize("cut", [b"1\n", b"1,2,3\n", b'"1,2\n', b",much\n"])
def test_a_line_whose_key_cannot_be_told_marks_none(target, cut):
    report = delta(target, b"customerId,ltv\n3,1\n" + cut, NOON + HOUR)
    assert (report.accepted, report.rejected) == (1, 1)
    assert set(ledger_rows(target.ledger)) == {'"3"'}


def test_of_many_refused_rows_all_are_marked(target):
    lines = b"".join(b"%d%s,much\n" % (number, b"x" * 1000) for number in range(5000))
    delta(target, b"customerId,ltv\nx,1\n" + lines, NOON + HOUR)
    assert len(ledger_rows(target.ledger)) == 5001


def written(client, table, load, taken, ltv, load_id, **how):
    report = Report(load_id, {})
    records = [{"customerId": key, "ltv": value} for key, value in ltv.items()]
    rest = RestLoad(load.staging, report, taken=taken, **how)
    write_profiles(client, client.read_table(table), records, ProfileEncoder.to(ATTRIBUTES), rest)
    return report


@pytest.mark.parametrize("others", [{}, {"3": 1}])
def test_an_older_write_leaves_out_what_a_newer_one_could_not_send(client, state, table, load, others):
    written(client, table, load, NOON + HOUR, {"1": "much", **others}, "newer", max_rejected=1)
    report = written(client, table, load, NOON, {"1": 1, "2": 1}, "older")
    assert (report.accepted, report.stale) == (1, 1)
    assert written(client, table, load, NOON + HOUR, {"1": 1}, "mended").accepted == 1
