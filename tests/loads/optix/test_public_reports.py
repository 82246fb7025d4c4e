"""What users of other tools have reported about retries, state and several runs at once, tried on loads of ours."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimove_provider.clients.optix import OptixClient
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.manifest import DamagedManifest
from optimove_provider.loads.optix.load import load
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.lost_rows import LostRows
from optimove_provider.loads.state.journal import Journal, OtherTarget, Overtaken, Stage
from optimove_provider.loads.state.load_id import TaskTry, begin
from optimove_provider.surroundings import REAL
from tests.support.ledgers import let_lease_end
from tests.support.optix_target import LOAD_ID, SETTINGS, Killed, opened
from tests.support.optix_transactions import NO_GUARDS, TransactionTarget, counts, night, rows

THREE_SLICES = {str(number): "v" for number in range(10_001)}


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def another_connection(target):
    """The uuid of a second, empty data connection."""
    found = target.client.create_connection("other", "id")
    target.state.requests.clear()
    target.bodies.clear()
    return found


def killed_at(target, request, values=THREE_SLICES, **how):
    target.kill_at, target.killed_after = len(target.bodies) + request, how.pop("after", False)
    with pytest.raises(Killed):
        target.sync(values, night(0), LOAD_ID, **how)
    target.kill_at = 0


def file_of(target, pattern):
    (found,) = Path(target.staging.root).glob(pattern)
    return found


@pytest.mark.parametrize(("request_", "after"), [(2, False), (3, True)])
def test_a_retry_whose_destination_was_edited_takes_nothing_for_sent(target, request_, after):
    """The state of a sync is kept when its destination is edited: the new one lacks whatever was sent before."""
    first, second = target.data_connection_uuid, another_connection(target)
    killed_at(target, request_, after=after)
    target.data_connection_uuid = second
    with pytest.raises(OtherTarget, match=f"to write to optix:{first} .* names optix:{second}") as caught:
        target.sync(THREE_SLICES, night(0), LOAD_ID)
    assert (caught.value.retry_helps, target.visible) == (False, {})
    assert target.sync(THREE_SLICES, night(0)).accepted == len(THREE_SLICES), "a Clear begins a load of every row"
    assert len(target.visible) == len(THREE_SLICES)
    target.data_connection_uuid = first
    target.sync(THREE_SLICES, night(0), LOAD_ID)
    assert len(target.visible) == len(THREE_SLICES), "named again, the first one is gone on with"


def test_the_success_of_one_destination_is_not_told_of_another(target):
    """A connection is pointed from a test account to production, and the run that had succeeded stays green."""
    target.sync({"a": "1"}, night(0), LOAD_ID)
    told = target.staging.read(f"reports/{LOAD_ID}.json")
    target.client = OptixClient(replace(SETTINGS, host="https://production.test/api"), send=target.send)
    with pytest.raises(OtherTarget, match=r"at https://production\.test/api now"):
        target.sync({"a": "1"}, night(0), LOAD_ID)
    assert target.staging.read(f"reports/{LOAD_ID}.json") == told, "what became of the load stays told"


def test_until_something_was_sent_a_retry_may_go_elsewhere(target):
    second = another_connection(target)
    killed_at(target, 1)
    target.data_connection_uuid = second
    with pytest.raises(OtherTarget):
        target.sync({"a": "1"}, night(0), LOAD_ID)
    unsent = "6f0f5d3a-0000-4000-8000-00000000beef"
    with pytest.raises(ZeroDivisionError):
        load(target.client, lambda: 1 / 0, target.staging, Report(unsent, target.named), target.wanted())
    target.data_connection_uuid = another_connection(target)
    assert target.sync({"a": "1"}, night(0), unsent).accepted == 1


def test_a_host_that_is_said_to_be_the_same_goes_on(target):
    killed_at(target, 2)
    let_lease_end(target.ledger)
    settings = replace(SETTINGS, host="http://other-name/api/data-connections/v1", target_alias="same")
    target.client = OptixClient(settings, send=target.send, surroundings=target.time.surroundings)
    assert target.sync(THREE_SLICES, night(0), LOAD_ID).accepted == len(THREE_SLICES)
    assert len(target.visible) == len(THREE_SLICES)


def test_two_airflows_with_one_staging_do_not_take_each_others_loads_for_theirs(target):
    """A development environment shares its state database with production, and overwrites the state there."""
    production, development = target.data_connection_uuid, another_connection(target)
    task = TaskTry("orders", "upload", "scheduled__2025-11-20", -1, 1, 1, 1)
    assert begin(target.staging, task)  # production's first try died before it sent anything
    theirs = begin(target.staging, task)
    target.data_connection_uuid = development
    target.sync({"a": "of a test"}, night(0), theirs)
    taken = begin(target.staging, replace(task, try_number=2))
    assert taken == theirs, "nothing tells the two Airflows apart by their names"
    target.data_connection_uuid = production
    with pytest.raises(OtherTarget, match=r"If another Airflow has the same .* a folder of its own"):
        target.sync({"a": "1"}, night(0), taken)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"format": 3, "versi'])
def test_a_state_file_that_is_empty_or_cut_is_no_first_run(target, body):
    """A malformed state is taken for a first start: its safety baseline is gone, and what is older goes over newer."""
    target.sync({"a": "new"}, night(5))
    manifest = file_of(target, "ledgers/*/manifest.json")
    kept = manifest.read_bytes()
    manifest.write_bytes(body)
    with pytest.raises(DamagedManifest, match=r"manifest\.json is empty or cut short .* ledger rebuild"):
        target.sync({"a": "old"}, night(4))
    assert (target.values, target.report.visibility) == ({"a": "new"}, "not visible")
    manifest.write_bytes(kept)
    assert target.sync({"a": "old"}, night(4)).stale == 1


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_rows_of_a_ledger_that_a_lifecycle_rule_removed_are_named(target, how):
    """A rule of the bucket removed old metadata: the table cannot be used, and the error says a bare NoSuchKey."""
    target.sync({"a": "1"}, night(0))
    layer = file_of(target, "ledgers/*/layers/*.parquet")
    layer.unlink() if how == "gone" else layer.write_bytes(layer.read_bytes()[:100])
    what = "is not there any more" if how == "gone" else "is damaged"
    with pytest.raises(LostRows, match=f"{layer.name} {what}.* exempt staging .* ledger forget") as caught:
        target.sync({"a": "2"}, night(1))
    assert (caught.value.retry_helps, target.values) == (False, {"a": "1"})


def test_rows_that_may_have_been_sent_are_not_forgotten_with_their_files(target):
    """Files of a write that did not end are swept as orphans, and the table is inconsistent from then on."""
    killed_at(target, 1, {"a": "new"}, after=True)
    target.staging.remove_folder("loads")
    for generation in (night(-1), night(1)):
        let_lease_end(target.ledger)
        with pytest.raises(LostRows, match="is empty, which has the rows that a load may have sent"):
            target.sync({"a": "old"}, generation)
    assert target.values == {"a": "new"}


class Stalled(TransactionTarget):
    """`meanwhile` is done once, while the first answer is on its way for over a minute and nobody renews the lease."""

    meanwhile = None

    def __init__(self, folder):
        super().__init__(folder)
        self.late = timedelta(0)
        clock = replace(REAL, now=lambda: datetime.now(UTC) + self.late)
        self.staging = replace(self.staging, surroundings=clock)

    def send(self, request):
        answer, does = super().send(request), self.meanwhile
        if does:
            self.meanwhile = None
            self.pass_a_minute()
            does()
        return answer

    def pass_a_minute(self):
        self.late += timedelta(seconds=61)

    def second_try(self):
        report, options = Report(LOAD_ID, self.named), self.wanted(mode="changed", guards=NO_GUARDS)
        load(self.client, lambda: opened(rows(THREE_SLICES)), self.staging, report, options, try_number=2)
        return report


def test_a_worker_without_a_heartbeat_that_lives_on_does_not_overwrite_what_its_successor_told(tmp_path):
    """The summary mirrors the attempt that ended last, which had moved nothing, although the rows are there."""
    target = Stalled(tmp_path)
    target.meanwhile = target.second_try
    with pytest.raises(Overtaken):
        target.sync(THREE_SLICES, night(0), LOAD_ID)
    assert len(target.visible) == len(THREE_SLICES)
    told = target.staging.read(f"reports/{LOAD_ID}.json")
    assert [told[name] for name in ("state", "accepted", "visibility")] == ["committed", len(THREE_SLICES), "visible"]
    assert target.report.state == "committed", "nor does its task say otherwise"


def test_one_that_wakes_up_in_its_source_neither_opens_the_load_again_nor_sends(tmp_path):
    """A scheduler restarts in the middle, and two instances of one task write at once."""
    target = Stalled(tmp_path)

    def slow(values):
        target.second_try()  # Airflow took the first try for dead while its query ran
        yield from rows(values)

    report = Report(LOAD_ID, target.named)
    options = target.wanted(mode="changed", guards=NO_GUARDS)
    with pytest.raises(Overtaken, match="another try of it has gone on") as caught:
        load(target.client, lambda: opened(slow(THREE_SLICES)), target.staging, report, options)
    assert caught.value.retry_helps
    assert Journal(target.staging, LOAD_ID).stage is Stage.FINISHED
    assert (report.state, len(target.requests)) == ("committed", 3)


def test_what_a_try_that_was_overtaken_says_is_not_known_is_said_so(tmp_path):
    target = Stalled(tmp_path)

    def dies():
        target.kill_at = len(target.bodies) + 2
        with pytest.raises(Killed):
            target.second_try()
        target.kill_at = 0

    target.meanwhile = dies
    with pytest.raises(Overtaken):
        target.sync(THREE_SLICES, night(0), LOAD_ID)
    assert target.report.visibility == "not known"
    target.pass_a_minute()
    assert counts(target.second_try()) == (len(THREE_SLICES), 0, 0, 0)


def test_rejected_rows_are_in_their_file_once_however_often_the_load_dies(target):
    """Each retry appends what it could not load to the dead letters once more."""
    values, target.state.switches = {"a": "1", "b": "poison", "c": "3"}, Switches(poison="poison")
    for _ in range(2):
        killed_at(target, 1, values, max_rejected=1, after=True)
        let_lease_end(target.ledger)
    assert target.sync(values, night(0), LOAD_ID, max_rejected=1).rejected == 1
    assert [line["record"]["id"] for line in target.rejected] == ["b"]
