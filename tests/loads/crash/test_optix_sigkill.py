"""A process killed with SIGKILL at any point, and started again: the end is the same as without.

The server is a real one, and so is the process. What was in flight is sent twice, and nothing else.
"""

import multiprocessing
import signal
from collections import Counter
from dataclasses import replace

import pytest
from s3fs import S3FileSystem

from optimove_provider.emulator import EmulatorServer
from optimove_provider.emulator.model.optix import Connection
from optimove_provider.emulator.model.state import AWS_ACCESS_KEY, AWS_SECRET_KEY
from optimove_provider.emulator.model.switches import Switches
from tests.support.crash.killed_load import Course, run_killed
from tests.support.optix_target import record

# A process that has imported everything, and makes a copy of itself for each load.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.support.crash.killed_load", "s3fs"])
ROWS, POISON = 17_001, [7_003, 17_001]


@pytest.fixture(scope="module")
def server():
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def course(server, tmp_path):
    """A load of four slices into a data connection of its own."""
    server.state.reset()
    server.state.switches = Switches(poison="poison", poison_named="none")
    data_connection_uuid = server.state.ids.uuid()
    server.state.connections[data_connection_uuid] = Connection(data_connection_uuid, "customers", "id")
    return Course(server.url, data_connection_uuid, str(tmp_path), ROWS)


def kill(course, point):
    process = PROCESSES.Process(target=run_killed, args=(course, point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def visible(server, course):
    found = server.state.connections[course.data_connection_uuid].visible(server.state.clock())
    return {key: one.data for key, one in found.items()}


def check(server, course, report, repeated, most_repeated=None):
    """Every good row is there, under one batch; no other requests were made twice than those in flight."""
    good = [row for row in range(1, ROWS + 1) if row not in course.poison]
    assert (report.state, report.accepted, report.rejected) == ("committed", len(good), len(course.poison))
    assert visible(server, course) == {str(row): record(row) for row in good}
    (batch,) = server.state.connections[course.data_connection_uuid].batches.values()
    assert (batch.state, server.state.violations) == ("completed", [])
    assert {one["batch_uuid"] for one in server.state.requests} == {batch.batch_uuid}
    digests = Counter(one["sha256"] for one in server.state.requests)
    assert repeated <= digests.total() - len(digests) <= (most_repeated or repeated)
    return batch


@pytest.mark.parametrize(
    ("point", "made", "repeated"),
    [
        ("batch 3", 0, 0),  # the rows are being read
        ("after 3", 3, 1),
        ("before 4", 3, 0),  # the request that completes the batch
    ],
)
def test_between_slices(server, course, point, made, repeated):
    kill(course, point)
    assert (len(server.state.requests), visible(server, course)) == (made, {})
    batch = check(server, course, course.run(), repeated)
    assert (batch.completions, batch.requests) == (1, 4 + repeated)


def test_after_the_batch_was_completed_and_before_that_was_known(server, course):
    kill(course, "after 4")
    assert len(visible(server, course)) == ROWS
    assert check(server, course, course.run(), 1).completions == 2


def test_with_four_requests_in_flight(server, course):
    course = replace(course, max_in_flight=4)
    kill(course, "after 2")
    assert visible(server, course) == {}
    check(server, course, course.run(), 0, most_repeated=3)


@pytest.mark.parametrize("point", ["after 8", "after 30"], ids=["a slice", "the last slice"])
def test_while_refused_rows_are_looked_for(server, course, point):
    """What was taken and refused inside the slice is written down: only what was in flight goes again."""
    course = replace(course, poison=POISON)
    kill(course, point)
    assert visible(server, course) == {}
    check(server, course, course.run(), repeated=1)


def test_with_staging_on_s3(server, course):
    options = {"key": AWS_ACCESS_KEY, "secret": AWS_SECRET_KEY, "endpoint_url": server.s3_url}
    options["client_kwargs"] = {"region_name": "us-east-1"}
    S3FileSystem(**options).call_s3("create_bucket", Bucket="staging")
    course = replace(course, staging=f"staging/{course.data_connection_uuid}", protocol="s3", options=options)
    kill(course, "after 2")
    assert (len(server.state.requests), visible(server, course)) == (2, {})
    check(server, course, course.run(), 1)
