"""What users of other tools have reported about state and destinations, tried on imports into a table."""

from dataclasses import replace

import pytest

from optimove_provider.loads.dcp.load import run
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import OtherTarget
from tests.support import s3_target
from tests.support.s3_target import HOST

s3, target = s3_target.s3, s3_target.target  # fixtures

ONE = b"customerId,ltv\n1,1\n"


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_a_retry_whose_table_was_edited_takes_no_file_for_uploaded(target, mode):
    """The state of a sync is kept when its destination is edited: the new one lacks whatever was sent before."""
    run(target.load(ONE, target.report(), target.ledger, mode=mode))
    other = replace(target, s3_path=f"{target.s3_path}-other")
    report = Report(target.load_id, {"dcp": 2, "host": HOST})
    with pytest.raises(OtherTarget, match=r"to write to dcp:1 at .* names dcp:2 at .* now"):
        run(other.load(ONE, report, None if mode == "full" else target.ledger, mode=mode))
    assert [key for key in other.stored() if key.startswith(f"{other.s3_path}/")] == []
    assert len(target.stored()) == 1
