"""Imports of what changed, and profile writes, that die before any of their steps: what the ledger knows stays true."""

import base64
import hashlib
import io

import pytest

from optimove_provider.clients.s3 import Bucket, NameTaken, UploadGone
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.emulator import EmulatorServer
from optimove_provider.loads.ledger.manifest import CommitConflict
from optimove_provider.loads.upload.file import MayBeImported
from tests.support.crash.dying import deaths, fate
from tests.support.crash.dying_table import DyingTable
from tests.support.crash.memory_s3 import MemoryS3
from tests.support.optix_transactions import night
from tests.support.s3_target import s3_client

LTV = ["ltv"]
FIRST = {"1": "1", "2": "1", "3": "1"}
SECOND = {"1": "2", "2": "1", "4": "2"}
THIRD = {"1": "3", "2": "3", "3": "3", "4": "3"}
MD5 = base64.b64encode(hashlib.md5(b"text", usedforsecurity=False).digest()).decode()
WRITTEN = {"2": "2", "4": "2", "5": "refused"}


@pytest.fixture(scope="module")
def before(quick_disk):
    """A table with three customers."""
    with fate() as one:
        table = DyingTable(quick_disk / "before", one)
        table.changed(FIRST, LTV, night(0))
        yield table


@pytest.fixture(scope="module")
def dead(before, quick_disk):
    """Tables after an import died before each of its steps: all that it can leave."""
    table = before.copied(quick_disk / "import").another()
    found = deaths(table, quick_disk / "dead imports", lambda: table.changed(SECOND, LTV, night(2)))
    assert len(found) > 20
    return checked(found)


@pytest.fixture(scope="module")
def dead_writes(before, quick_disk):
    """The same of a profile write."""
    table = before.copied(quick_disk / "write")
    found = deaths(table, quick_disk / "dead writes", lambda: table.write(WRITTEN, LTV, night(2)))
    assert len(found) > 8
    return checked(found)


def checked(tables):
    for table in tables:
        table.check()
    return tables


def copies(dead, folder):
    """Each of them once more."""
    return (one.copied(folder / str(number)) for number, one in enumerate(dead))


def check_mended(table, values):
    """The table has these values, nothing is in doubt, and what the ledger says is true."""
    table.check()
    assert {customer: value for (customer, _), value in table.values.items()} == values
    assert not table.ledger.read().intents


def import_again(table):
    return table.attempt(lambda: table.changed(SECOND, LTV, night(2), try_number=2))


def import_other(table, rows, generation, **how):
    other = table.another()
    report = other.attempt(lambda: other.changed(rows, LTV, generation, **how))
    assert (report.rows, report.unsent) == (len(rows), 0)
    return report


def write_again(table):
    return table.attempt(lambda: table.write(WRITTEN, LTV, night(2)))


def test_a_retry_ends_as_if_nothing_had_happened(dead, folder):
    for table in copies(dead, folder):
        report = import_again(table)
        assert (report.state, report.rows, report.unsent) == ("committed", 3, 0)
        check_mended(table, {"1": "2", "2": "1", "3": "1", "4": "2"})


def test_after_a_newer_snapshot_the_retry_changes_nothing(dead, folder):
    """Where its file was visible before that one, the retry says so; otherwise its rows are stale."""
    overtaken = 0
    for table in copies(dead, folder):
        import_other(table, THIRD, night(3))
        try:
            report = import_again(table)
        except CommitConflict:
            overtaken += 1
        else:
            assert (report.rows, report.unsent) == (3, 0)
        check_mended(table, THIRD)
    assert 0 < overtaken < 20


def test_after_a_newer_profile_write_the_retry_leaves_that_customer_alone(dead, folder):
    overtaken = 0
    for table in copies(dead, folder):
        other = table.another()
        assert other.attempt(lambda: other.write({"1": "9"}, LTV, night(3))).accepted == 1  # noqa: B023 - called here
        try:
            report = import_again(table)
        except CommitConflict:
            overtaken += 1
        else:
            assert (report.rows, report.unsent) == (3, 0)
        check_mended(table, {"1": "9", "2": "1", "3": "1", "4": "2"})
    assert 0 < overtaken < 20


def test_without_a_retry_the_next_snapshot_makes_it_good(dead, dead_writes, folder):
    for table in copies([*dead, *dead_writes], folder):
        import_other(table, THIRD, night(3))
        check_mended(table, THIRD)


def test_a_profile_write_that_is_made_again_ends_as_if_nothing_had_happened(dead_writes, folder):
    for table in copies(dead_writes, folder):
        report = write_again(table)
        assert (report.state, report.rows, report.accepted, report.rejected) == ("committed", 3, 2, 1)
        check_mended(table, {"1": "1", "2": "2", "3": "1", "4": "2"})


def test_after_a_newer_import_the_profile_write_leaves_those_customers_alone(dead_writes, folder):
    for table in copies(dead_writes, folder):
        import_other(table, {"4": "3"}, night(3), source_is="delta")
        report = write_again(table)
        assert (report.accepted, report.stale, report.rejected) == (1, 1, 1)
        check_mended(table, {"1": "1", "2": "2", "3": "1", "4": "3"})


def test_what_is_older_than_a_profile_write_that_died_does_not_overwrite_it(dead_writes, folder):
    for table in copies(dead_writes, folder):
        import_other(table, {"2": "0", "3": "0"}, night(1), source_is="delta")
        table.check()
        assert table.values["3", "ltv"] == "0"


@pytest.fixture(scope="module", params=[False, True], ids=["objects stay", "objects are taken away"])
def dead_puts(request, quick_disk):
    """Tables after an import died before each of its steps, where keys may GET and PUT, and nothing else."""
    with fate() as one:
        table = DyingTable(quick_disk / f"put {request.param}", one, MemoryS3("get_put_only"))
        table.takes_away = request.param
        table.changed(FIRST, LTV, night(0))
        other = table.another()
        found = deaths(other, quick_disk / f"dead puts {request.param}", lambda: other.changed(SECOND, LTV, night(2)))
        begun = [table for table in found if table.is_sending]  # otherwise it is as with uploads in parts
        assert 5 < len(begun) < 20
        yield checked(begun)


def test_a_put_is_never_made_twice_and_a_retry_that_cannot_know_says_so(dead_puts, folder):
    """Between the word that a PUT will be sent and the word that it was, nobody knows whether it was: one death, if the
    object is there to be seen, and two if it may be gone."""
    unknown = 0
    for table in copies(dead_puts, folder):
        try:
            report = import_again(table)
        except MayBeImported:
            unknown += 1
            table.check()
        else:
            assert (report.state, report.rows, report.unsent) == ("committed", 3, 0)
            check_mended(table, {"1": "2", "2": "1", "3": "1", "4": "2"})
        assert len(set(table.s3.made)) == len(table.s3.made)
        import_other(table, THIRD, night(3))
        check_mended(table, THIRD)
    assert unknown == (2 if dead_puts[0].takes_away else 1)


def test_without_a_retry_the_next_snapshot_makes_it_good_with_puts_too(dead_puts, folder):
    for table in copies(dead_puts, folder):
        import_other(table, THIRD, night(3))
        check_mended(table, THIRD)
        assert len(set(table.s3.made)) == len(table.s3.made)


@pytest.mark.parametrize("where", ["in memory", "on a server"])
def test_s3_in_memory_answers_as_a_server_does(where):
    if where == "in memory":
        check_answers(MemoryS3())
        return
    with EmulatorServer() as server, s3_client(server.s3_url) as s3:
        check_answers(s3)


def check_answers(s3):
    bucket = Bucket(s3, IMPORT_BUCKET)
    assert bucket.find("dcp/a") is None
    first, second, third = (bucket.begin("dcp/a", f"load/{number}") for number in range(3))
    etags = [bucket.put_part("dcp/a", first, 1, b"row")]
    assert bucket.put_part("dcp/a", second, 1, b"row") == etags[0]
    bucket.complete("dcp/a", first, etags)
    assert bucket.find("dcp/a") is not None
    assert (bucket.find("dcp/a").size, bucket.find("dcp/a").load) == (3, "load/0")
    assert s3.get_object(Bucket=IMPORT_BUCKET, Key="dcp/a")["Body"].read() == b"row"
    with pytest.raises(NameTaken):
        bucket.complete("dcp/a", second, etags)
    assert bucket.is_open("dcp/a", third)
    bucket.abort("dcp/a", third)
    assert not bucket.is_open("dcp/a", third)
    bucket.put("dcp/b", "load/9", io.BytesIO(b"text"), 4, MD5)
    assert (bucket.find("dcp/b").size, bucket.find("dcp/b").load) == (4, "load/9")
    with pytest.raises(NameTaken):
        bucket.put("dcp/b", "load/9", io.BytesIO(b"text"), 4, MD5)
    for over in (first, third):
        with pytest.raises(UploadGone):
            bucket.abort("dcp/a", over)
