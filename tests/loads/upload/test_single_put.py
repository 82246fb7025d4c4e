"""Files that go up with one PUT, since S3 refuses uploads in parts or the connection says so."""

import pytest

from optimove_provider.contract.wire.errors import DataError, Disagreement, S3Refused, S3Trouble
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.upload import single_put
from optimove_provider.loads.upload.file import UploadLost
from optimove_provider.loads.upload.multipart import MultipartRefused
from optimove_provider.loads.upload.uploads import MIN_FILE_BYTES
from tests.support.dcp.s3_refusals import refuse
from tests.support.dcp_imports import another, break_off
from tests.support.s3_target import Calls, Target, many, rows_of

SMALL = b"customerId,ltv,since\n1,2.5,2026-01-31\n2,,\n"
INVALID = SMALL + b"3,much,2026-01-31\n"
LARGE_ROWS = 90_000
LARGE = b"".join(many(LARGE_ROWS))  # two parts
TWO_FILES = b"".join(many(170_000))


def text_left(target):
    return list(target.folder.rglob("upload-*.csv"))


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["one part", "several parts"])
@pytest.mark.parametrize("permissions", ["get_put_only", "no_create", "no_part"])
def test_where_parts_are_refused_the_same_try_puts_the_file(target, switch, caplog, permissions, data):
    switch(s3_permissions=permissions)
    with Calls(target.s3, "PutObject") as puts:
        report = target.run(data)
    assert (report.state, report.s3_keys, puts.count) == ("uploaded", (target.to.key(1),), 1)
    switch()
    assert (target.stored(), target.open_uploads(), text_left(target)) == ({target.to.key(1): data}, [], [])
    assert "is put whole, since" in caplog.text
    found = target.s3.head_object(Bucket=target.to.bucket.name, Key=target.to.key(1))
    assert found["Metadata"] == {"optimove-load": f"{target.load_id}/1"}


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (405, "MethodNotAllowed"), (501, "NotImplemented"), (400, "NotImplemented"), (403, "403")],
)
@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPart"])
def test_every_kind_of_refusal_counts(target, call, status, code):
    with Calls(target.s3, call, refuse(status, code)):
        assert target.run(SMALL).state == "uploaded"
    assert (target.stored(), target.open_uploads()) == ({target.to.key(1): SMALL}, [])


@pytest.mark.parametrize(
    ("status", "code"), [(403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (404, "NoSuchBucket")]
)
def test_what_is_wrong_with_the_keys_or_the_bucket_is_no_reason_to_put(target, status, code):
    with (
        Calls(target.s3, "CreateMultipartUpload", refuse(status, code)),
        Calls(target.s3, "PutObject") as puts,
        pytest.raises(S3Refused, match=code),
    ):
        target.run(SMALL)
    assert puts.count == 0


def test_a_refused_complete_fails_the_try_and_the_next_one_puts(target, switch):
    switch(s3_permissions="no_complete")
    with pytest.raises(MultipartRefused, match="A retry reads the rows again, and puts the file whole") as caught:
        target.run(LARGE)
    assert caught.value.retry_helps
    for said in (f"s3://optimizely-import/{target.to.key(1)}", "CompleteMultipartUpload", "AccessDenied"):
        assert said in str(caught.value)
    assert (target.stored(), target.open_uploads()) == ({}, [])
    with Calls(target.s3, "CreateMultipartUpload") as begun:
        assert target.run(LARGE).state == "uploaded"
        other = another(target)
        assert other.run(SMALL).state == "uploaded"
    assert begun.count == 0, "the table's later loads know it, too"
    assert target.stored() == {target.to.key(1): LARGE, other.to.key(1): SMALL}


def test_what_is_remembered_is_told_and_is_about_one_table(target, switch, caplog):
    target.to.remember_put("it was refused")
    with caplog.at_level("INFO"), Calls(target.s3, "CreateMultipartUpload") as begun:
        target.run(SMALL)
        assert "it was refused" in caplog.text
        assert "upload_method of the connection" in caplog.text
        assert begun.count == 0
        Target(target.s3, target.folder).run(SMALL)
        assert begun.count == 1


def test_the_connection_may_insist_on_either(target, switch):
    target.to.remember_put("it was refused")
    parts = Target(target.s3, target.folder, s3_path=target.s3_path, method="multipart")
    with Calls(target.s3, "PutObject") as puts:
        assert parts.run(SMALL).state == "uploaded"
    whole = Target(target.s3, target.folder, method="put")
    with Calls(target.s3, "CreateMultipartUpload") as begun:
        assert whole.run(SMALL).state == "uploaded"
    assert (puts.count, begun.count) == (0, 0)
    for permissions in ("no_create", "no_part", "no_complete"):
        switch(s3_permissions=permissions)
        with pytest.raises(S3Refused, match="the keys may not do this"):
            Target(target.s3, target.folder, method="multipart").run(SMALL)


def test_nothing_is_put_before_the_last_row_was_checked(target, switch):
    switch(s3_permissions="get_put_only")
    seen = []
    target.run(LARGE, lambda key, rows: seen.append((key, target.stored(), len(text_left(target)))))
    assert seen == [(target.to.key(1), {}, 1)]
    broken = another(target)
    with pytest.raises(DataError, match="rule double"), Calls(target.s3, "PutObject") as puts:
        broken.run(INVALID)
    assert (puts.count, text_left(target)) == (0, [])


def test_a_file_ends_before_one_put_is_too_small_for_it(target, monkeypatch):
    monkeypatch.setattr(single_put, "MAX_PUT_BYTES", 6 << 20)
    put = Target(target.s3, target.folder, method="put")
    seen = []
    report = put.run(TWO_FILES, lambda key, rows: seen.append(put.stored()))
    files = [put.stored()[key] for key in report.s3_keys]
    header = TWO_FILES[: TWO_FILES.index(b"\n") + 1]
    assert header + b"".join(file.removeprefix(header) for file in files) == TWO_FILES
    assert (len(files) > 2, max(map(len, files)) <= 6 << 20, seen) == (True, True, [{}] * len(files))


def test_a_retry_puts_what_was_prepared_and_reads_no_row(target):
    put = Target(target.s3, target.folder, method="put")
    with Calls(target.s3, "PutObject", break_off), pytest.raises(S3Trouble, match="no answer came"):
        put.run(LARGE)
    assert (put.stored(), Journal(put.staging, put.load_id).stage) == ({}, Stage.PREPARED)
    report = put.run(rows_of("the source is not read again"))
    assert (report.state, report.accepted, put.stored()) == ("uploaded", LARGE_ROWS, {put.to.key(1): LARGE})
    assert text_left(put) == []


@pytest.mark.parametrize("how", ["gone", "cut short"])
def test_a_text_that_staging_has_lost_is_read_anew(target, how):
    put = Target(target.s3, target.folder, method="put")
    with Calls(target.s3, "PutObject", break_off), pytest.raises(S3Trouble):
        put.run(SMALL)
    (text,) = text_left(put)
    text.unlink() if how == "gone" else text.write_bytes(SMALL[:-1])
    with pytest.raises(UploadLost, match="A retry begins anew") as caught:
        put.run(b"never read")
    assert caught.value.retry_helps
    assert put.run(SMALL).state == "uploaded"
    assert put.stored() == {put.to.key(1): SMALL}


def test_another_text_is_never_put_under_a_name_that_is_there(target):
    """One of two files was put, the other's text is lost, and the source has changed since."""
    put = Target(target.s3, target.folder, method="put")

    def break_off_second(count):
        if count >= 2:
            break_off(count)

    with Calls(target.s3, "PutObject", break_off_second), pytest.raises(S3Trouble):
        put.run(TWO_FILES, max_file_bytes=MIN_FILE_BYTES)
    (text,) = text_left(put)
    text.unlink()
    with pytest.raises(UploadLost):
        put.run(b"never read", max_file_bytes=MIN_FILE_BYTES)
    first = put.stored()
    with pytest.raises(Disagreement, match="the source holds other rows since"):
        Target(put.s3, put.folder, put.load_id, put.s3_path, "put").run(SMALL)
    with Calls(target.s3, "PutObject") as puts:
        assert put.stored() == first
    assert puts.count == 0


def test_the_body_is_read_from_a_file_and_s3_compares_it(target):
    put, sent = Target(target.s3, target.folder, method="put"), []

    def look(params, **_):
        sent.append((hasattr(params["body"], "read"), bool(params["headers"]["Content-MD5"])))

    target.s3.meta.events.register("before-call.s3.PutObject", look)
    put.run(LARGE)
    target.s3.meta.events.unregister("before-call.s3.PutObject", look)
    assert sent == [(True, True)]
    assert list(put.stored().values()) == [LARGE]
