"""An import of what changed that dies before any one of its steps, over real S3: what the ledger knows stays true."""

import csv
import io
import shutil
from datetime import UTC, datetime

import pytest

from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.emulator import EmulatorServer
from optimove_provider.loads.ledger.manifest import CommitConflict
from optimove_provider.loads.upload.destination import Destination
from tests.support.crash.dying import DyingStaging, fate
from tests.support.dcp_imports import load
from tests.support.ledgers import check_claims, let_lease_end
from tests.support.s3_target import Target, s3_client

FIRST = b"customerId,ltv\n1,1\n2,1\n3,1\n"
SECOND = b"customerId,ltv\n1,2\n2,1\n4,2\n"
THIRD = b"customerId,ltv\n1,3\n2,3\n3,3\n4,3\n"
MANY_STEPS = 100


def day(number):
    return datetime(2025, 11, number, tzinfo=UTC)


class DyingBucket(Bucket):
    """A bucket whose calls are steps, and which knows in what order its objects became visible."""

    __slots__ = ("_fate", "_visible")

    def __init__(self, s3, fate, visible):
        super().__init__(s3, IMPORT_BUCKET)
        object.__setattr__(self, "_fate", fate)
        object.__setattr__(self, "_visible", visible)

    def begin(self, *arguments):
        return self._fate.step(super().begin, *arguments)

    def put_part(self, *arguments):
        return self._fate.step(super().put_part, *arguments)

    def complete(self, key, *arguments):
        self._fate.step(super().complete, key, *arguments)
        self._visible.append(key)

    def abort(self, *arguments):
        return self._fate.step(super().abort, *arguments)


class DyingTarget(Target):
    """A table whose imports die where they are told to."""

    def __init__(self, s3, folder, fate, **named):
        super().__init__(s3, folder, **named)
        self.fate, self.visible = fate, []

    @property
    def staging(self):
        return DyingStaging(super().staging.fs, super().staging.root, self.fate)

    @property
    def to(self):
        return Destination(DyingBucket(self.s3, self.fate, self.visible), self.s3_path, self.load_id, self.staging)

    def another(self):
        other = DyingTarget(self.s3, self.folder, self.fate, s3_path=self.s3_path)
        other.visible = self.visible
        return other

    def copied(self, folder):
        """The same table and its staging, in another world: the next import into it is another one."""
        shutil.copytree(self.folder, folder)
        other = DyingTarget(self.s3, folder, self.fate, s3_path=self.s3_path)
        other.visible = list(self.visible)
        return other

    def attempt(self, data, number, try_number=1, dies_at=0):
        """One try, its confirmation too; returns its report, or None if it died. Then the lease has ended."""
        report = None
        with self.fate.until(dies_at):
            report = load(self, data, try_number, generation=day(number))
        let_lease_end(self.ledger)
        return report

    @property
    def values(self):
        """What the table holds, if files are imported in the order in which they became visible."""
        found = {}
        for key in self.visible:
            text = self.s3.get_object(Bucket=IMPORT_BUCKET, Key=key)["Body"].read().decode()
            found.update((row["customerId"], row["ltv"]) for row in csv.DictReader(io.StringIO(text)))
        return found

    def check_ledger(self):
        """What the ledger says it knows is true of the table."""
        check_claims(self.ledger, self.values, "ltv")


@pytest.fixture
def dead(tmp_path):
    """Tables after an import died before its first step, and after each step: all that it can leave."""

    def every(s3, one):
        first = DyingTarget(s3, tmp_path / "first", one)
        assert first.attempt(FIRST, 1)
        for number in range(1, MANY_STEPS):
            target = first.copied(tmp_path / str(number))
            report = target.attempt(SECOND, 2, dies_at=number)
            target.check_ledger()
            if report:
                assert number > 20
                return
            yield target
        raise AssertionError("the load has more steps")

    with EmulatorServer() as server, s3_client(server.s3_url) as s3, fate() as one:
        yield every(s3, one)


def test_a_retry_ends_as_if_nothing_had_happened(dead):
    for target in dead:
        report = target.attempt(SECOND, 2, try_number=2)
        assert (report.state, report.rows, report.unsent) == ("committed", 3, 0)
        assert target.values == {"1": "2", "2": "1", "3": "1", "4": "2"}
        target.check_ledger()
        assert not target.ledger.read().intents


def test_after_a_newer_snapshot_the_retry_changes_nothing(dead):
    """Where its file was visible before that one, the retry says so; otherwise its rows are stale."""
    overtaken = 0
    for target in dead:
        assert target.another().attempt(THIRD, 3)
        try:
            report = target.attempt(SECOND, 2, try_number=2)
        except CommitConflict:
            overtaken += 1
        else:
            assert (report.rows, report.unsent) == (3, 0)
        assert target.values == {"1": "3", "2": "3", "3": "3", "4": "3"}
        target.check_ledger()
        assert not target.ledger.read().intents
    assert 0 < overtaken < 20
