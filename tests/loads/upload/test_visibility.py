"""The request that makes a file visible: asked once, sent again only where nobody else can have written, told of if so.

Vendors and stores differ in what an object that is not there means. Public reports are of clients that took a 404 after
a lost answer for a failure and made a second object; that refused to write where HEAD is not permitted; that gave up on
a store which does not know If-None-Match.
"""

import pytest
from botocore.exceptions import EndpointConnectionError

from optimove_provider.contract.dcp.upload_history import common_state
from optimove_provider.contract.wire.errors import DataError, Disagreement, S3Trouble
from optimove_provider.loads.dcp.in_doubt import StillImporting
from optimove_provider.loads.dcp.load import run
from optimove_provider.loads.ledger.lease import Lease, LeaseLost, TargetBusy
from optimove_provider.loads.upload.file import MayBeImported, UploadLost
from tests.support.dcp.one_file import ASK, BOTH, ROWS, TWICE, import_full, of, take_away, versions
from tests.support.dcp.s3_refusals import lose, refuse
from tests.support.dcp_imports import WAIT, another, changed
from tests.support.ledgers import let_lease_end
from tests.support.optix_target import Killed
from tests.support.s3_target import Calls, Target, many, rows_of


def die(_):
    raise Killed


@BOTH
def test_a_lost_answer_is_found_out_where_the_object_is_there(target, method):
    one = of(target, method)
    with Calls(one.s3, ASK[method], lose(1), when="after") as calls:
        report = import_full(one)
    assert (report.state, calls.count, versions(one)) == ("uploaded", 1, [one.to.key(1)])
    assert not [note for note in report.notes if TWICE in note]


def test_while_the_lease_is_held_it_is_put_once_more_and_the_report_says_so(target, switch):
    switch(object_after_import="remove")
    one = of(target, "put")

    def lose_after_import(count):
        if count == 1:
            take_away(one)
            lose()(count)

    with Calls(one.s3, "PutObject", lose_after_import, when="after"):
        report = import_full(one)
    assert (report.state, versions(one)) == ("uploaded", [one.to.key(1)] * 2)
    (note,) = [note for note in report.notes if TWICE in note]
    assert one.to.key(1) in note
    assert note in one.staging.read(f"reports/{one.load_id}.json")["notes"]
    with one.staging.open(f"reports/{one.load_id}.html") as page:
        assert TWICE in page.read().decode()


def test_a_request_that_surely_was_not_sent_is_no_doubt(target):
    one = of(target, "put")

    def cannot_connect(count):
        if count < 3:
            raise EndpointConnectionError(endpoint_url="https://s3.test")

    with Calls(one.s3, "PutObject", cannot_connect):
        report = import_full(one)
    assert (report.state, versions(one), [n for n in report.notes if TWICE in n]) == ("uploaded", [one.to.key(1)], [])


def test_without_a_lease_nothing_is_put_once_more(target):
    one = of(target, "put")
    with Calls(one.s3, "PutObject", lambda _: (take_away(one), lose()(1)), when="after") as puts:
        with pytest.raises(S3Trouble, match="no answer came"):
            one.run(ROWS)
        with pytest.raises(MayBeImported):
            one.run(rows_of())
    assert puts.count == 1


@pytest.mark.parametrize(("lost_at", "sent"), [(2, 0), (3, 1)], ids=["as it is written down", "after the first one"])
def test_a_lease_that_was_lost_meanwhile_ends_it(target, monkeypatch, lost_at, sent):
    """It is asked for before a request is written down, which may take long, and right before it is sent."""
    one, checks = of(target, "put"), []

    def check(self):
        checks.append(1)
        if len(checks) == lost_at:
            raise LeaseLost("lost")

    monkeypatch.setattr(Lease, "check", check)
    spoil = lambda _: (take_away(one), lose()(1))  # noqa: E731
    with Calls(one.s3, "PutObject", spoil, when="after") as puts, pytest.raises(LeaseLost):
        import_full(one)
    assert puts.count == sent


@BOTH
def test_after_a_death_an_object_that_is_gone_is_not_made_again(target, method):
    """The lease was another's, perhaps, since then."""
    one = of(target, method)

    def die_after_import(_):
        take_away(one)
        raise Killed

    with Calls(one.s3, ASK[method], die_after_import, when="after"), pytest.raises(Killed):
        import_full(one)
    let_lease_end(one.ledger)
    with (
        Calls(one.s3, "PutObject") as puts,
        Calls(one.s3, "CreateMultipartUpload") as begun,
        pytest.raises(MayBeImported, match="what the table holds of this load's keys is unknown") as caught,
    ):
        import_full(one, 2)
    assert (caught.value.retry_helps, puts.count, begun.count) == (False, 0, 0)
    assert versions(one) == [one.to.key(1)]
    assert load_changed(another(one)).unchanged == 0, "the keys are unknown"


def load_changed(target):
    """A changed import, up to its files."""
    report = target.report()
    run(changed(target, ROWS, report, assume_settled=True), WAIT)
    return report


@BOTH
def test_after_a_death_an_object_that_is_there_is_recognised(target, method):
    one = of(target, method)
    with Calls(one.s3, ASK[method], die, when="after"), pytest.raises(Killed):
        import_full(one)
    let_lease_end(one.ledger)
    report = import_full(one, 2)
    assert (report.state, versions(one)) == ("uploaded", [one.to.key(1)])


def test_an_upload_in_parts_that_never_was_completed_is_completed_by_the_retry(target):
    with Calls(target.s3, "CompleteMultipartUpload", die), pytest.raises(Killed):
        import_full(target)
    let_lease_end(target.ledger)
    assert import_full(target, 2).state == "uploaded"
    assert versions(target) == [target.to.key(1)]


def test_an_upload_that_a_rule_removed_before_it_was_completed_begins_anew(target):
    one = of(target, "multipart")
    with Calls(one.s3, "CompleteMultipartUpload", die), pytest.raises(Killed):
        import_full(one)
    path = f"loads/{one.load_id}/upload-1.json"
    record = one.staging.read(path)
    assert record["asked"]
    one.to.bucket.abort(one.to.key(1), record["upload_id"])
    one.staging.write(path, {**record, "asked": False})
    let_lease_end(one.ledger)
    with pytest.raises(UploadLost):
        import_full(one, 2)
    assert import_full(one, 2).state == "uploaded"


def test_what_an_older_version_left_counts_as_asked(target):
    with Calls(target.s3, "CompleteMultipartUpload", die, when="after"), pytest.raises(Killed):
        import_full(target)
    path = f"loads/{target.load_id}/upload-1.json"
    record = target.staging.read(path)
    target.staging.write(path, {name: record[name] for name in record if name not in ("asked", "method")})
    take_away(target)
    let_lease_end(target.ledger)
    with pytest.raises(MayBeImported):
        import_full(target, 2)


@BOTH
def test_what_may_have_been_imported_holds_the_next_load_up_until_it_is_known(target, method):
    one = of(target, method)

    def die_after_import(_):
        take_away(one)
        raise Killed

    with Calls(one.s3, ASK[method], die_after_import, when="after"), pytest.raises(Killed):
        import_full(one)
    let_lease_end(one.ledger)
    other = another(one)
    report = other.report()
    waiting = other.load(ROWS, report, other.ledger, mode="changed", outcome_of=pending)
    with pytest.raises(StillImporting, match=one.to.key(1)):
        run(waiting, WAIT)


def pending(keys):
    return common_state([], keys)


@BOTH
@pytest.mark.parametrize("permissions", ["no_head", "get_put_only"])
def test_where_head_is_refused_get_tells(target, switch, method, permissions):
    one = of(target, method)
    switch(s3_permissions="all" if method == "multipart" and permissions == "get_put_only" else permissions)
    with Calls(one.s3, ASK[method], lose(1), when="after"):
        assert import_full(one).state == "uploaded"
    switch()
    assert versions(one) == [one.to.key(1)]


@BOTH
def test_where_nobody_may_look_at_all_it_is_uploaded_all_the_same(target, method):
    one = of(target, method)
    with Calls(one.s3, "HeadObject", refuse(403, "403")), Calls(one.s3, "GetObject", refuse(403, "AccessDenied")):
        assert import_full(one).state == "uploaded"
        other = Target(one.s3, one.folder, s3_path=one.s3_path, method=method)
        with Calls(other.s3, ASK[method], lose(1), when="after"):
            report = import_full(other)
    assert report.state == "uploaded"
    assert len(versions(one)) == 2
    assert any("nobody may look" in note for note in report.notes)


@BOTH
def test_a_store_without_if_none_match_is_told_of(target, switch, method):
    one = of(target, method)
    switch(s3_permissions="no_if_none_match")
    if method == "put":
        report = import_full(one)
        assert (report.state, versions(one)) == ("uploaded", [one.to.key(1)])
        assert any("is not checked by S3" in note and "NotImplemented" in note for note in report.notes)
        taken = another(one)
        taken.s3.put_object(Bucket=taken.to.bucket.name, Key=taken.to.key(1), Body=b"theirs")
        with pytest.raises(Disagreement, match="exists already and is not this load's"):
            import_full(Target(one.s3, one.folder, taken.load_id, one.s3_path, method))
    else:
        report = import_full(one)
        assert report.state == "uploaded"


@BOTH
def test_a_name_that_somebody_else_took_is_left_alone(target, method):
    one = of(target, method)
    one.s3.put_object(Bucket=one.to.bucket.name, Key=one.to.key(1), Body=b"theirs")
    with pytest.raises(Disagreement, match="exists already and is not this load's"):
        import_full(one)
    assert list(one.stored().values()) == [b"theirs"]


@pytest.mark.parametrize("permissions", ["no_abort", "get_put_only"])
def test_what_cannot_be_aborted_is_named_and_hides_nothing(target, switch, caplog, permissions):
    def now(_):
        switch(s3_permissions=permissions)

    with Calls(target.s3, "UploadPart", now, when="after"), pytest.raises(DataError, match="rule double") as caught:
        target.run(b"".join(many(90_000)) + b"1,much,2026-01-31,\n")
    found = target.s3.list_multipart_uploads(Bucket=target.to.bucket.name)["Uploads"]
    (upload,) = (one for one in found if one["Key"] == target.to.key(1))
    told = f"--key {target.to.key(1)} --upload-id {upload['UploadId']}"
    assert [note for note in caught.value.report.notes if told in note and "aws s3api abort-multipart-upload" in note]
    assert told in caplog.text
    switch()
    target.to.bucket.abort(upload["Key"], upload["UploadId"])


@BOTH
def test_the_next_load_waits_while_a_file_may_still_become_visible(target, method):
    """Its request was lost, and whoever has it may carry it out late: over what the next load has brought."""
    with Calls(target.s3, ASK[method], lose()), pytest.raises(S3Trouble, match="no answer came"):
        import_full(of(target, method))
    with pytest.raises(TargetBusy):
        import_full(another(target))
    let_lease_end(target.ledger)
    assert import_full(another(target)).state == "uploaded"
