"""The manifest of a ledger: replaced only where it is still what was read, on a disk and on S3."""

import errno
import threading

import pytest
from botocore.exceptions import ClientError
from fsspec.implementations.memory import MemoryFileSystem

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.loads.ledger.manifest import (
    FORMAT,
    Holder,
    Intent,
    KeyDigest,
    Layer,
    Manifest,
    ManifestFile,
    Origin,
    Owed,
    PlanRef,
    SourceSnapshot,
    SuppressionList,
    intent_folders,
    target_id,
)
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging
from tests.support.ledgers import NOON, TARGET, age, hour

FULL = Manifest(
    version=7,
    layers=(
        Layer("ledgers/x/layers/1.parquet", 3, "md5, 1"),
        Layer(
            "ledgers/x/layers/2.parquet", 1, "", Origin(PlanRef("load-1", 5), age(1), None, "none", NOON), True, NOON
        ),
    ),
    newest_snapshot=SourceSnapshot(age(1, 2), 3, {"id": 1.0, "é": 0.5}),
    committed_at=NOON,
    committed=PlanRef("load-1", 5),
    intents={"load-2": Intent("loads/2/sent", age(2), "live", 6, 7, "loads/2/owed")},
    holder=Holder("load-2", 2, "token", NOON, hour(3)),
    suppressed=SuppressionList("00ff", "ledgers/x/suppressions/1.parquet", 2),
    owed=Owed("ledgers/x/owed/1.parquet", 2),
)


@pytest.fixture
def file(any_staging):
    return ManifestFile(any_staging, TARGET)


def test_a_target_without_a_ledger_has_an_empty_one(file):
    assert file.read() == Manifest()


def test_what_was_written_is_read(file):
    assert file.change(lambda _: FULL) == FULL
    assert file.read() == FULL
    assert file.change(lambda found: found.changed(holder=None)).version == 8
    assert file.read().holder is None


def test_a_manifest_of_before_anything_was_owed_is_read(file):
    file.change(lambda _: FULL)
    written = file.staging.read(f"{file.folder}/manifest.json")
    del written["owed"], written["intents"]["load-2"]["owed"]
    file.staging.write(f"{file.folder}/manifest.json", {**written, "format": 2})
    found = file.read()
    assert (found.owed, found.intents["load-2"].owed, found.layers) == (None, "", FULL.layers)


def test_a_file_of_owed_rows_that_is_let_go_stays_for_who_still_reads_it():
    other = Owed("ledgers/x/owed/2.parquet", 1)
    assert FULL.owing(other, NOON).let_go == {"ledgers/x/owed/1.parquet": NOON}
    assert FULL.owing(None, NOON).owed is None
    assert FULL.owing(FULL.owed, NOON) == FULL
    assert Manifest().owing(other, NOON).let_go == {}


def test_an_edit_that_fails_changes_nothing(file):
    file.change(lambda _: FULL)
    with pytest.raises(ZeroDivisionError):
        file.change(lambda _: 1 / 0)
    assert file.read() == FULL


def test_an_edit_sees_what_another_wrote_in_between(file):
    seen = []

    def edit(found):
        seen.append(found.version)
        if len(seen) == 1:
            file.change(lambda other: other.changed(committed=PlanRef("other", 0)))
        return found.changed()

    assert file.change(edit).version == 2
    assert (seen, file.read().committed) == ([0, 1], PlanRef("other", 0))


def test_of_many_at_once_none_is_lost(staging_on_disk):
    file = ManifestFile(staging_on_disk, TARGET)  # not on S3: moto looks first and writes then
    threads = [threading.Thread(target=lambda: [file.change(Manifest.changed) for _ in range(4)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read().version == 16


def test_a_file_is_replaced_only_if_it_is_what_was_seen(any_staging):
    fs, path = any_staging.fs, f"{any_staging.root}/some/file.json"
    nothing = compare_and_swap.read(fs, path)
    assert nothing == compare_and_swap.Seen(None, None)
    assert compare_and_swap.replace(fs, path, b"1", nothing)
    first = compare_and_swap.read(fs, path)
    assert first.body == b"1"
    assert not compare_and_swap.replace(fs, path, b"2", nothing)
    assert compare_and_swap.replace(fs, path, b"2", first)
    assert not compare_and_swap.replace(fs, path, b"3", first)
    fs.rm_file(path)
    assert not compare_and_swap.replace(fs, path, b"3", compare_and_swap.Seen(b"2", first.tag))
    assert compare_and_swap.read(fs, path).body is None


def test_an_answer_that_was_lost_is_no_refusal(s3):
    fs, bucket = s3
    seen = compare_and_swap.read(fs, f"{bucket}/file.json")
    assert compare_and_swap.replace(fs, f"{bucket}/file.json", b"ours", seen)
    assert compare_and_swap.replace(
        fs, f"{bucket}/file.json", b"ours", compare_and_swap.Seen(b"before", '"an older tag"')
    )
    assert not compare_and_swap.replace(
        fs, f"{bucket}/file.json", b"others", compare_and_swap.Seen(b"before", '"an older tag"')
    )


@pytest.mark.parametrize("ignored", [["IfNoneMatch"], ["IfMatch"], ["IfNoneMatch", "IfMatch"]], ids=" and ".join)
def test_a_bucket_that_ignores_a_condition_is_refused_each_time(s3, monkeypatch, ignored):
    """Reports against clones of S3: a condition is read and dropped, and whoever asks for a lock gets it."""
    fs, bucket = s3
    asked = fs.call_s3
    monkeypatch.setattr(
        fs, "call_s3", lambda *names, **given: asked(*names, **{k: v for k, v in given.items() if k not in ignored})
    )
    headers = " and ".join({"IfNoneMatch": "If-None-Match", "IfMatch": "If-Match"}[name] for name in ignored)
    for _ in range(2):
        with pytest.raises(SettingsError, match=rf"manifest\.json: this S3 storage ignores {headers}, so that"):
            ManifestFile(Staging(fs, f"{bucket}/staging"), TARGET).change(Manifest.changed)
    assert fs.find(bucket) == []


def test_a_write_that_another_one_disturbs_is_made_again(s3, monkeypatch):
    """A report against a client of S3: 409, which says that nobody's write came through, was taken for "it exists"."""
    fs, bucket = s3
    asked, answers = fs.call_s3, [409]

    def disturbed(*names, **given):
        if answers.pop() if answers else False:
            refusal = ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")
            raise OSError(errno.EIO, "conflict") from refusal
        return asked(*names, **given)

    monkeypatch.setattr(fs, "call_s3", disturbed)
    file = ManifestFile(Staging(fs, f"{bucket}/staging"), TARGET)
    assert file.change(Manifest.changed).version == 1
    assert file.read().version == 1


def test_other_file_systems_are_refused():
    memory = MemoryFileSystem()
    assert not compare_and_swap.supports_compare_and_swap(memory)
    with pytest.raises(SettingsError, match=r"memory://.*compare-and-swap: use a local disk or S3"):
        ManifestFile(Staging(memory, "/staging"), TARGET).read()
    assert intent_folders(Staging(memory, "/staging")) == set()


def test_both_file_systems_are_known(any_staging):
    assert compare_and_swap.supports_compare_and_swap(any_staging.fs)


def test_an_older_manifest_deals_keys_without_a_seed(file):
    file.change(lambda found: found.changed(key_digest=KeyDigest(seed="5eed")))
    assert file.read().key_digest == KeyDigest("sha256", 1, "5eed")
    written = file.staging.read(f"{file.folder}/manifest.json")
    del written["key_digest"]
    file.staging.write(f"{file.folder}/manifest.json", written)
    assert file.read().key_digest == KeyDigest("sha256", 1, "")


def test_a_newer_format_is_an_error(file):
    file.staging.write(f"{file.folder}/manifest.json", {"format": FORMAT + 1})
    for use in (file.read, lambda: file.change(Manifest.changed)):
        told = rf"newer version of this provider \(format {FORMAT + 1}, this one knows {FORMAT}\): upgrade"
        with pytest.raises(DataError, match=told):
            use()


def test_intent_folders_of_all_targets_are_known(any_staging):
    ManifestFile(any_staging, "one").change(lambda _: FULL)
    ManifestFile(any_staging, "two").change(lambda found: found.changed())
    assert intent_folders(any_staging) == {"loads/2/sent", "loads/2/owed"}


def test_a_target_has_one_name():
    names = {
        target_id(*parts)
        for parts in [("optix", "h", "1"), ("dcp", "h", "1"), ("optix", "h", "2"), ("optix", "i", "1")]
    }
    assert len(names) == 4
    assert target_id("optix", "h", "1") == target_id("optix", "h", "1")


def test_a_manifest_is_the_base_of_a_plan_that_wrote_only_its_intent():
    manifest = Manifest(version=6, intents={"a": Intent("f", age(0), "live", 5, 6)})
    assert manifest.is_base_of(PlanRef("a", 5))
    assert not manifest.is_base_of(PlanRef("a", 4))
    assert not manifest.is_base_of(PlanRef("b", 5))
    assert manifest.is_base_of(PlanRef("b", 6))
    assert not manifest.changed().is_base_of(PlanRef("a", 5))
