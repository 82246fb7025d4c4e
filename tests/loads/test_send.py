"""A full load into Opti-X: slices under one batch, completed once and last, or nothing visible and said so."""

import json
import logging

import pyarrow as pa
import pytest

from optimove_provider.clients.drive import Retries
from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import OptixSettings
from optimove_provider.contract.errors import DataError, OptimoveProviderError, Refused, SettingsError
from optimove_provider.emulator import API_KEY, BRAND_KEY, Fault, State, send
from optimove_provider.loads.report import Report
from optimove_provider.loads.send import OptixTarget, load_full
from optimove_provider.records.sources import list_batches

SETTINGS = OptixSettings(
    conn_id="optix_default",
    host="http://emulator/api/data-connections/v1",
    api_key=API_KEY,
    brand_api_key=BRAND_KEY,
    requests_per_10s=1000,
)
LOAD_ID = "6f0f5d3a-0000-4000-8000-000000000000"


class Target:
    """An emulated data connection, and loads into it."""

    def __init__(self):
        self.state, self.bodies = State(), []
        self.client = OptixClient(SETTINGS, send=self.send, retries=Retries(first_wait=0))
        self.data_connection_uuid = self.client.create_connection("customers", "id")
        self.state.requests.clear()

    def send(self, request):
        self.bodies.append(json.loads(request.body))
        return send(self.state, request)

    def load(self, batches, **settings):
        report = Report(LOAD_ID, {})
        load_full(self.client, batches, OptixTarget(self.data_connection_uuid, "id", **settings), report)
        return report

    def fail(self, batches, error=OptimoveProviderError):
        """A load that must fail: its report and the error's text."""
        report = Report(LOAD_ID, {})
        with pytest.raises(error) as caught:
            load_full(self.client, batches, OptixTarget(self.data_connection_uuid, "id"), report)
        assert (report.state, report.problem) == ("failed", str(caught.value))
        return report, str(caught.value)

    @property
    def requests(self):
        return [(one["records"], one["batch_completed"], one["batch_uuid"]) for one in self.state.requests]

    @property
    def visible(self):
        found = self.state.connections[self.data_connection_uuid].visible(self.state.clock())
        return {key: record.data for key, record in found.items()}


@pytest.fixture
def target():
    return Target()


def numbered(count, bad_row=0):
    """Rows in batches of 4000; the row `bad_row`, counted from 1, holds a NaN."""
    for first in range(0, count, 4000):
        keys = range(first, min(first + 4000, count))
        values = [float("nan") if key + 1 == bad_row else key / 4 for key in keys]
        yield pa.RecordBatch.from_pydict({"id": list(keys), "n": values})


def test_12001_rows_are_three_requests_of_one_batch_and_only_the_last_completes_it(target):
    report = target.load(numbered(12_001))
    (batch_uuid,) = {batch for _, _, batch in target.requests}
    assert [(records, completed) for records, completed, _ in target.requests] == [
        (5000, False),
        (5000, False),
        (2001, True),
    ]
    assert (report.state, report.rows, report.accepted, report.unsent) == ("committed", 12_001, 12_001, 0)
    assert target.visible == {str(key): {"id": str(key), "n": key / 4} for key in range(12_001)}
    assert target.state.connections[target.data_connection_uuid].completed_batches == {batch_uuid}


@pytest.mark.parametrize("rows", [1, 4999, 5000, 5001, 10_000, 10_001])
def test_slices_are_full_but_for_the_last(target, rows):
    target.load(numbered(rows))
    sizes = [records for records, _, _ in target.requests]
    assert sizes[:-1] == [5000] * (len(sizes) - 1)
    assert (sum(sizes), 1 <= sizes[-1] <= 5000) == (rows, True)
    assert [completed for _, completed, _ in target.requests] == [False] * (len(sizes) - 1) + [True]
    assert len(target.visible) == rows


@pytest.mark.parametrize("batches", [[], [pa.RecordBatch.from_pydict({"id": []})]], ids=["no batch", "an empty batch"])
def test_no_rows_are_no_request_and_are_said_so(target, batches):
    report = target.load(batches)
    assert (report.state, report.rows, target.requests) == ("nothing_to_send", 0, [])


@pytest.mark.parametrize("bad_row", [1, 5000, 5001, 12_001])
def test_a_bad_row_anywhere_means_no_request_at_all(target, bad_row):
    report, text = target.fail(numbered(12_001, bad_row), DataError)
    assert f"row {bad_row}, column 'n'" in text
    assert (target.requests, report.accepted) == ([], 0)


def test_a_source_that_breaks_half_way_means_no_request_at_all(target):
    def breaking():
        yield from numbered(6000)
        raise OSError("the warehouse has gone")

    _, text = target.fail(breaking(), OSError)
    assert (text, target.requests) == ("the warehouse has gone", [])


def test_a_middle_slice_that_fails_leaves_nothing_visible_and_says_what_was_sent(target):
    target.state.faults.order(Fault("upload_data", skip=1, status=400, body="bad format"))
    report, text = target.fail(numbered(12_001), Refused)
    assert "connection 'optix_default': POST upload_data was answered 400: bad format. 5000 of 12001 rows" in text
    assert "when slice 2 of 3 failed; the batch is not completed, so none of its rows is visible" in text
    assert (report.rows, report.accepted, report.unsent) == (12_001, 0, 12_001)
    assert (len(target.requests), target.visible) == (2, {})


@pytest.mark.parametrize("fault", [{"lost": "after"}, {"lost": "before"}, {"status": 502}])
def test_a_closing_request_without_an_answer_may_have_worked_and_is_said_to(target, fault):
    target.state.faults.order(Fault("upload_data", skip=1, times=5, **fault))
    report, text = target.fail(numbered(5001))
    assert "it was the one that completes the batch, so all rows may be visible, or none" in text
    assert len(target.visible) in (0, 5001)
    assert (report.accepted, report.unsent) == (0, 5001)


def test_a_closing_request_that_is_refused_closes_nothing(target):
    target.state.faults.order(Fault("upload_data", skip=1, status=403))
    _, text = target.fail(numbered(5001))
    assert "the batch is not completed, so none of its rows is visible" in text
    assert target.visible == {}


def test_a_repeated_closing_request_that_is_refused_may_have_worked_the_first_time(target):
    target.state.faults.order(Fault("upload_data", lost="after"), Fault("upload_data", status=400))
    _, text = target.fail(numbered(3))
    assert "all rows may be visible, or none" in text
    assert len(target.visible) == 3


@pytest.mark.parametrize("fault", [{"status": 429}, {"status": 503}, {"lost": "before"}, {"lost": "after"}])
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_trouble_that_passes_costs_a_retry_and_nothing_else(target, fault, skip):
    target.state.faults.order(Fault("upload_data", skip=skip, times=2, **fault))
    report = target.load(numbered(10_001))
    assert (report.state, report.accepted, len(target.visible)) == ("committed", 10_001, 10_001)
    assert len(target.requests) == 5
    assert len({batch for _, _, batch in target.requests}) == 1


def test_the_same_load_has_the_same_batch_and_another_load_another(target):
    for _ in range(2):
        target.load(numbered(1))
    load_full(target.client, numbered(1), OptixTarget(target.data_connection_uuid, "id"), Report(LOAD_ID[::-1], {}))
    first, again, other = (batch for _, _, batch in target.requests)
    assert first == again != other


@pytest.mark.parametrize(("key_type", "keys"), [("string", ["1", "2"]), ("integer", [1, 2])])
def test_keys_travel_as_one_type_and_every_slice_with_the_ttl(target, key_type, keys):
    target.load(list_batches([{"id": 1}, {"id": 2}]), key_type=key_type, ttl_seconds=3600)
    body = target.bodies[-1]
    assert [record["id"] for record in body["data"]] == keys
    assert body["ttl_seconds"] == 3600


def test_the_time_it_took_is_in_the_report_of_success_and_of_failure(target):
    assert target.load(numbered(1)).seconds > 0
    assert target.fail(numbered(1, bad_row=1))[0].seconds > 0


def test_the_log_names_the_batch_and_the_rows(target, caplog):
    with caplog.at_level(logging.INFO):
        target.load(numbered(5001))
    said = "\n".join(caplog.messages)
    assert "sending 5001 rows in 2 slices under batch" in said
    assert "is completed: 5001 rows are visible" in said


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [({"key_type": "number"}, "key_type 'number'"), ({"ttl_seconds": 0}, "ttl_seconds 0"), ({"ttl_seconds": -1}, "-1")],
)
def test_a_target_that_makes_no_sense_is_refused(wrong, complaint):
    with pytest.raises(SettingsError, match=complaint):
        OptixTarget("uuid", "id", **wrong)
