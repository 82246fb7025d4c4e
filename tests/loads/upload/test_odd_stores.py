"""Stores and proxies that refuse HEAD or If-None-Match, each in its way: an upload goes on, and says what is unchecked.

Public reports are of stores that answer If-None-Match with 501, 400 or 412 whatever is there; of 409 where AWS itself
asks for the request again; of proxies that refuse HEAD with 400 or 403, or answer it 404; of a CompleteMultipartUpload
that was answered 200 with an error, with nothing, or with a page, and was taken for done.
"""

from contextlib import ExitStack

import pytest

from optimove_provider.contract.wire.errors import Disagreement, S3Trouble
from optimove_provider.loads.upload.file import MayBeImported
from optimove_provider.loads.upload.multipart import MultipartRefused
from tests.support.dcp.one_file import ASK, BOTH, TWICE, import_full, of, take_away, versions
from tests.support.dcp.s3_refusals import lacking, lose, refuse
from tests.support.ledgers import let_lease_end
from tests.support.optix_target import Killed
from tests.support.s3_target import Calls, Target

UNCHECKED = "is not checked by S3"
FINAL = [(400, "400"), (401, "401"), (404, ""), (409, "409"), (422, "422"), (501, "501")]
CONDITIONS = (
    "InvalidRequest",
    "ConditionalRequestConflict",
    "PreconditionFailed",
    "ExpectationFailed",
    "UnprocessableEntity",
    "PreconditionRequired",
    "InternalError",
)


def notes(report, text):
    return [note for note in report.notes if text in note]


def not_looking(s3, status=403, code="403"):
    """Neither HEAD nor GET is answered otherwise."""
    stack = ExitStack()
    for call in ("HeadObject", "GetObject"):
        stack.enter_context(Calls(s3, call, refuse(status, code)))
    return stack


@BOTH
@pytest.mark.parametrize("code", CONDITIONS)
def test_however_if_none_match_is_refused_the_file_goes_up(target, switch, method, code):
    one = of(target, method)
    switch(s3_condition=code)
    with Calls(one.s3, ASK[method]) as asked:
        report = import_full(one)
    assert (report.state, versions(one)) == ("uploaded", [one.to.key(1)])
    assert len(notes(report, UNCHECKED)) == 1
    assert asked.count == (4 if code in ("ConditionalRequestConflict", "InternalError") else 2)
    is_doubt = code == "InternalError" and method == "put"
    assert len(notes(report, TWICE)) == is_doubt, "a PUT that was answered 500 may have been carried out"


@BOTH
def test_a_conflict_that_passes_is_no_reason_to_ask_without_the_condition(target, method):
    one = of(target, method)

    def conflict(count):
        if count < 3:
            refuse(409, "ConditionalRequestConflict")(count)

    with Calls(one.s3, ASK[method], conflict) as asked:
        report = import_full(one)
    assert (report.state, asked.count, notes(report, UNCHECKED)) == ("uploaded", 3, [])


@BOTH
@pytest.mark.parametrize("code", CONDITIONS[:3])
def test_a_name_that_is_taken_is_left_alone_however_the_condition_is_refused(target, switch, method, code):
    one = of(target, method)
    one.s3.put_object(Bucket=one.to.bucket.name, Key=one.to.key(1), Body=b"theirs", Metadata={"optimove-load": "x/1"})
    switch(s3_condition=code)
    with pytest.raises(Disagreement, match="exists already and is not this load's"):
        import_full(one)
    switch()
    assert list(one.stored().values()) == [b"theirs"]


@BOTH
def test_a_name_that_is_taken_says_s3_and_nobody_may_look_is_left_alone(target, switch, method):
    one = of(target, method)
    switch(s3_condition="PreconditionFailed", s3_permissions="no_look")
    with pytest.raises(Disagreement, match="exists already, says S3, and nobody may look whose it is"):
        import_full(one)
    switch()
    assert one.stored() == {}


@BOTH
@pytest.mark.parametrize(("status", "code"), FINAL)
def test_whatever_refuses_a_look_blocks_no_upload(target, switch, method, status, code):
    """A store without If-None-Match, at which nobody can look."""
    one = of(target, method)
    switch(s3_permissions="no_if_none_match")
    with not_looking(one.s3, status, code):
        report = import_full(one)
    assert (report.state, versions(one)) == ("uploaded", [one.to.key(1)])
    (told,) = notes(report, UNCHECKED)
    assert "nobody could look" in told
    assert notes(report, "So nobody looks whether the file is there")


@BOTH
@pytest.mark.parametrize("head", ["InvalidRequest", "NoSuchKey", "ConditionalRequestConflict", "UnprocessableEntity"])
def test_where_head_does_not_show_it_get_does(target, switch, method, head):
    one = of(target, method)
    switch(s3_head=head)
    with Calls(one.s3, ASK[method], lose(1), when="after") as asked:
        report = import_full(one)
    assert (report.state, asked.count, versions(one)) == ("uploaded", 1, [one.to.key(1)])
    assert not notes(report, TWICE)


def test_a_look_that_fails_for_a_while_holds_no_upload_up_of_which_nothing_was_sent(target, switch):
    switch(s3_permissions="no_if_none_match")
    one = of(target, "put")
    with not_looking(one.s3, 500, "500"):
        report = import_full(one)
    assert (report.state, versions(one)) == ("uploaded", [one.to.key(1)])
    assert "nobody could look" in notes(report, UNCHECKED)[0]


@BOTH
def test_a_look_that_fails_for_a_while_is_waited_for_where_the_file_may_be_there(target, method):
    one = of(target, method)
    with (
        Calls(one.s3, ASK[method], lose(1), when="after") as asked,
        not_looking(one.s3, 500, "500"),
        pytest.raises(S3Trouble, match=r"something failed|a reason that is not known"),
    ):
        import_full(one)
    assert asked.count == 1
    let_lease_end(one.ledger)
    assert import_full(one, 2).state == "uploaded"
    assert versions(one) == [one.to.key(1)]


@BOTH
def test_a_success_that_lacks_what_s3_tells_is_looked_after(target, method):
    one = of(target, method)
    with lacking(one.s3, ASK[method], "ETag"), Calls(one.s3, ASK[method]) as asked:
        report = import_full(one)
    assert (report.state, asked.count, versions(one)) == ("uploaded", 1, [one.to.key(1)])


@BOTH
def test_a_success_that_made_no_object_is_none(target, method):
    """A proxy answers for S3, and nothing arrives: the next request does."""
    one = of(target, method)

    def lose_it(count):
        if count == 1:
            take_away(one)

    with lacking(one.s3, ASK[method], "ETag"), Calls(one.s3, ASK[method], lose_it, when="after"):
        if method == "put":
            report = import_full(one)
            assert (report.state, list(one.stored())) == ("uploaded", [one.to.key(1)])
            assert "no object was there" in notes(report, TWICE)[0]
        else:
            with pytest.raises(MayBeImported, match="it is not there now"):
                import_full(one)


def test_the_note_of_a_second_put_says_only_what_was_seen(target):
    one = of(target, "put")
    with not_looking(one.s3), Calls(one.s3, "PutObject", lambda count: (take_away(one), lose(1)(count)), when="after"):
        report = import_full(one)
    (told,) = notes(report, TWICE)
    assert "nobody could look whether it was there" in told
    assert "no object was there" not in told


@BOTH
def test_after_a_death_nothing_is_said_to_be_away_that_nobody_looked_at(target, method):
    one = of(target, method)
    with Calls(one.s3, ASK[method], die, when="after"), pytest.raises(Killed):
        import_full(one)
    let_lease_end(one.ledger)
    if method == "put":
        with not_looking(one.s3), pytest.raises(MayBeImported, match="nobody may look whether it is there") as caught:
            import_full(one, 2)
        assert "not there now" not in str(caught.value)
    else:
        with not_looking(one.s3):
            report = import_full(one, 2)
        assert (report.state, len(versions(one))) == ("uploaded", 1)
        assert notes(report, "nobody may look whether the file is there")


def die(_):
    raise Killed


def test_a_completion_in_doubt_that_is_refused_later_is_settled_by_its_open_upload(target):
    """It never was completed, says the upload: the file goes up whole with the next try."""
    with Calls(target.s3, "CompleteMultipartUpload", die), pytest.raises(Killed):
        import_full(target)
    let_lease_end(target.ledger)
    with (
        Calls(target.s3, "CompleteMultipartUpload", refuse(403, "AccessDenied")),
        pytest.raises(MultipartRefused, match="Nothing of it is visible"),
    ):
        import_full(target, 2)
    assert (target.stored(), target.open_uploads()) == ({}, [])
    let_lease_end(target.ledger)
    assert import_full(target, 3).state == "uploaded"
    assert versions(target) == [target.to.key(1)]


def test_a_completion_in_doubt_that_is_refused_later_is_found_where_it_was_carried_out(target):
    with Calls(target.s3, "CompleteMultipartUpload", die, when="after"), pytest.raises(Killed):
        import_full(target)
    let_lease_end(target.ledger)
    with Calls(target.s3, "CompleteMultipartUpload", refuse(403, "AccessDenied")):
        assert import_full(target, 2).state == "uploaded"
    assert versions(target) == [target.to.key(1)]


@pytest.mark.parametrize("answered", ["refused", "without its id"])
def test_a_completion_in_doubt_that_is_refused_later_says_what_nobody_knows(target, answered):
    with Calls(target.s3, "CompleteMultipartUpload", die), pytest.raises(Killed):
        import_full(target)
    let_lease_end(target.ledger)
    with ExitStack() as stack:
        stack.enter_context(Calls(target.s3, "CompleteMultipartUpload", refuse(403, "AccessDenied")))
        if answered == "refused":
            stack.enter_context(Calls(target.s3, "ListParts", refuse(403, "AccessDenied")))
        else:
            stack.enter_context(lacking(target.s3, "ListParts", "UploadId", range(9)))
        with pytest.raises(MayBeImported, match=r"it is not there now: .*sent again, and refused: .*AccessDenied"):
            import_full(target, 2)


def test_a_second_put_that_is_refused_says_that_the_first_may_have_been_imported(target):
    one = of(target, "put")

    def lose_then_refuse(count):
        if count == 2:
            refuse(403, "InvalidAccessKeyId")(count)

    def vanish(count):
        take_away(one)
        lose(1)(count)

    with (
        Calls(one.s3, "PutObject", lose_then_refuse),
        Calls(one.s3, "PutObject", vanish, when="after"),
        pytest.raises(MayBeImported, match=r"sent again, and refused: .*InvalidAccessKeyId"),
    ):
        import_full(one)


@pytest.mark.parametrize("is_there", [True, False])
def test_parts_that_are_missing_of_an_upload_that_is_gone_are_told_by_what_is_seen(target, is_there):
    """The source has changed between a completion that nobody saw and the retry."""
    with Calls(target.s3, "CompleteMultipartUpload", die, when="after"), pytest.raises(Killed):
        import_full(target)
    target.staging.remove_folder(f"loads/{target.load_id}/load.json")
    if not is_there:
        take_away(target)
    told = (Disagreement, "the source holds other rows since") if is_there else (MayBeImported, "it is not there now")
    with pytest.raises(told[0], match=told[1]):
        Target(target.s3, target.folder, target.load_id, target.s3_path).run(b"customerId,ltv\n9,9\n")


ODD = [(400, "InvalidRequest"), (404, "404"), (409, "OperationAborted"), (413, "413"), (422, "UnprocessableEntity")]


@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPart"])
@pytest.mark.parametrize(("status", "code"), ODD)
def test_however_an_upload_in_parts_is_refused_the_same_try_puts_the_file(target, call, status, code):
    with Calls(target.s3, call, refuse(status, code)) as asked:
        assert import_full(target).state == "uploaded"
    assert (asked.count, versions(target), target.open_uploads()) == (1, [target.to.key(1)], [])


@pytest.mark.parametrize(
    ("status", "code"), [(400, "InvalidPart"), (400, "EntityTooSmall"), (404, "404"), (422, "422")]
)
def test_however_a_completion_is_refused_the_retry_puts_the_file(target, status, code):
    with (
        Calls(target.s3, "CompleteMultipartUpload", refuse(status, code)),
        pytest.raises(MultipartRefused, match=code),
    ):
        import_full(target)
    let_lease_end(target.ledger)
    with Calls(target.s3, "CreateMultipartUpload") as begun:
        assert import_full(target, 2).state == "uploaded"
    assert (begun.count, versions(target), target.open_uploads()) == (0, [target.to.key(1)], [])


def test_a_refusal_that_is_about_any_request_is_told_as_what_it_is_and_can_be_retried(target):
    with (
        Calls(target.s3, "CreateMultipartUpload", refuse(400, "KMS.DisabledException")),
        Calls(target.s3, "PutObject", refuse(400, "KMS.DisabledException")),
        pytest.raises(S3Trouble, match=r"KMS\.DisabledException"),
    ):
        import_full(target)
    let_lease_end(target.ledger)
    assert import_full(target, 2).state == "uploaded"
