"""Imports into an emulated table against its ledger, full or of what changed."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import EndpointConnectionError

from optimove_provider.contract.wire.errors import S3Trouble
from optimove_provider.loads.dcp.load import confirm, run
from optimove_provider.loads.dcp.options import ChangedOptions
from tests.support.s3_target import Calls, Target, imported

WAIT = timedelta(hours=1)


def changed(target, data, report=None, try_number=1, generation=None, **compared):
    """An import of what changed, which is yet to run."""
    how = {"mode": "changed", "changed": ChangedOptions(**compared), "generation": generation, "try_number": try_number}
    return target.load(data, report or target.report(), target.ledger, **how)


def load(target, data, try_number=1, **compared):
    """Import, and confirm it if there is anything to be confirmed."""
    report = target.report()
    run(changed(target, data, report, try_number, **compared), WAIT)
    if report.state == "uploaded":
        confirm(target.staging, report, imported(report.s3_keys), try_number)
    return report


def another(target):
    """The same table, for another load."""
    return Target(target.s3, target.folder, s3_path=target.s3_path)


def break_off(count):
    """What `Calls` does where no answer comes."""
    raise EndpointConnectionError(endpoint_url="https://s3.test")


def full(target, data, try_number, generation, **wanted):
    """A full import, which leaves its keys unknown to the ledger."""
    report = target.report()
    run(target.load(data, report, target.ledger, try_number=try_number, generation=generation, **wanted))
    return report


def dead_full_import(target, data):
    """A full import that checked and sent every row, and died before its file became visible."""
    with Calls(target.s3, "CompleteMultipartUpload", break_off), pytest.raises(S3Trouble):
        full(target, data, 1, datetime.now(UTC))
