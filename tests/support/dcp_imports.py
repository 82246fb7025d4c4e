"""Imports into an emulated table against its ledger, full or of what changed, and what its history says of them."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import EndpointConnectionError

from optimove_provider.contract.dcp.upload_history import HistoryEntry, common_verdict
from optimove_provider.loads.dcp.changed_import import ChangedImport, ChangedOptions
from optimove_provider.loads.dcp.confirmation import confirm
from optimove_provider.loads.dcp.full_import import import_csv
from optimove_provider.loads.dcp.invalidation import invalidation_of
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.validation.row_check import ImportOptions
from tests.support.s3_target import ATTRIBUTES, Calls, Target, of

WAIT = timedelta(hours=1)


def ledger_in(target):
    """The ledger of the table, in its staging."""
    return ledger_of(target.staging, "dcp", "https://dcp.test", "1")


def changed(target, data, report=None, **compared):
    """An import of what changed, which is yet to run."""
    report = report or Report(target.load_id, {})
    ledger = ledger_in(target)
    return ChangedImport(
        of(data), ImportOptions(ATTRIBUTES), ChangedOptions(**compared), target.to, report, ledger, imported
    )


def imported(keys):
    """The history says that every file is imported."""
    return common_verdict([HistoryEntry(key, "completed") for key in keys])


def load(target, data, try_number=1, **compared):
    """Import, and confirm it if there is anything to be confirmed."""
    report = Report(target.load_id, {})
    changed(target, data, report, **compared).run(try_number, WAIT)
    if report.state == "uploaded":
        confirm(ledger_in(target), report, imported(report.s3_keys))
    return report


def another(target):
    """The same table, for another load."""
    return Target(target.s3, target.folder, s3_path=target.s3_path)


def break_off(count):
    """What `Calls` does where no answer comes."""
    raise EndpointConnectionError(endpoint_url="https://s3.test")


def full(target, data, try_number, generation, **wanted):
    """A full import, which leaves its keys unknown to the ledger."""
    report = Report(target.load_id, {})
    with invalidation_of(ledger_in(target), target.load_id, try_number, generation) as turn:
        import_csv(of(data), ImportOptions(ATTRIBUTES, **wanted), target.to, report, turn=turn)
    return report


def dead_full_import(target, data):
    """A full import that checked and sent every row, and died before its file became visible."""
    with Calls(target.s3, "CompleteMultipartUpload", break_off), pytest.raises(EndpointConnectionError):
        full(target, data, 1, datetime.now(UTC))
