"""A whole load in one thread, on a clock of the test's own: what a simulation needs."""

import threading
import time
from dataclasses import replace

import pytest

from optimove_provider.clients.http.drive import Retries
from optimove_provider.clients.optix import OptixClient
from optimove_provider.emulator.model.faults import Fault
from tests.support.optix_target import SETTINGS, numbered
from tests.support.optix_transactions import TransactionTarget, night
from tests.support.virtual_time import START, VirtualTime


@pytest.fixture
def virtual_time():
    return VirtualTime()


@pytest.fixture
def target(tmp_path, virtual_time):
    class OneThread(TransactionTarget):
        threads = frozenset()

        def send(self, request):
            self.threads |= {threading.get_ident()}
            return super().send(request)

    target = OneThread(tmp_path)
    surroundings = virtual_time.surroundings()
    target.staging = replace(target.staging, surroundings=surroundings)
    target.client = OptixClient(SETTINGS, target.send, Retries(), surroundings)
    return target


def test_a_load_with_waits_takes_no_time_and_no_other_thread(target, virtual_time):
    target.state.faults.order(Fault("upload_data", times=3, status=503, headers={"Retry-After": "100"}))
    began = time.monotonic()
    report = target.load(numbered(12_000), max_in_flight=4)
    assert (report.state, report.accepted) == ("committed", 12_000)
    assert virtual_time.elapsed >= 300
    assert time.monotonic() - began < 60
    assert target.threads == {threading.get_ident()}


def test_the_lease_is_renewed_while_a_request_waits(target, virtual_time):
    target.state.faults.order(Fault("upload_data", times=4, status=429, headers={"Retry-After": "90"}))
    assert target.sync({"a": "1"}, night(0)).accepted == 1
    assert virtual_time.elapsed >= 360


def test_what_is_written_down_bears_the_time_that_was_handed_in(target):
    target.sync({"a": "1"}, night(0))
    committed = target.ledger.read().committed_at
    assert committed == START


def test_the_same_course_is_the_same_to_the_byte(tmp_path):
    def course(name):
        time = VirtualTime()
        target = TransactionTarget(tmp_path / name)
        target.staging = replace(target.staging, surroundings=time.surroundings())
        target.data_connection_uuid = "00000000-0000-4000-8000-000000000001"
        target.state.connections[target.data_connection_uuid] = target.state.connections.popitem()[1]
        target.client = OptixClient(SETTINGS, target.send, Retries(), time.surroundings())
        for number in range(2):
            target.sync({"a": "1", "b": str(number)}, night(number))
        return target.bodies, target.staging.read(f"{target.ledger.manifest_file.folder}/manifest.json")

    assert course("one") == course("two")
