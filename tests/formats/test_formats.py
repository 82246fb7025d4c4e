"""What older versions stored, and what this one stores, is read, and goes on to the right end.

`python -m tests.formats.write` keeps what a version stores.
"""

import json
import sqlite3
import tempfile
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from optimove_provider.loads.history.loads import LoadIndex, report_of
from optimove_provider.loads.history.record import sightings
from optimove_provider.loads.history.rejected import rejected_path, rejected_rows
from optimove_provider.loads.report.html import page
from tests.formats import points, sync_log
from tests.formats.histories import BEFORE, END, MODULES, WORLDS, account, lived, read_back, says
from tests.formats.shapes import shape
from tests.formats.write import SYNC_LOG, folder_for, kept_versions
from tests.support.crash.dying import fate
from tests.support.crash.shared_duck import shared_duck

VERSIONS = kept_versions()
NEWEST = VERSIONS[-1]
WITH_SYNC_LOG = [version for version in VERSIONS if (version / SYNC_LOG).exists()]
MOST_BYTES = 40_000
MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has it


@pytest.fixture(scope="module", autouse=True)
def quick_databases():
    with shared_duck():
        yield


@pytest.fixture
def fates():
    with fate() as found:
        yield found


@pytest.fixture
def folder():
    """One of which no write waits for a disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as found:
        yield Path(found)


@pytest.fixture(params=product(VERSIONS, WORLDS), ids=lambda one: f"{one[0].name} {one[1]}")
def kept(request):
    """What a version has kept of a vendor: its points, and what it says is true of them."""
    version, kind = request.param
    return kind, points.read(version / f"{kind}.tar.xz"), json.loads((version / f"{kind}.json").read_text())


def as_told(now, told):
    """What is known now, of each key of a ledger only what a version told of it: others have told more since."""
    rows = {
        name: {key: {member: row[member] for member in told[name].get(key, row)} for key, row in now[name].items()}
        for name in ("ledger", "profiles")
    }
    return {**now, **rows}


def test_a_ledger_says_what_its_version_said(kept, folder, fates):
    kind, found, told = kept
    for name in (BEFORE, END):
        world = read_back(kind, folder / name, fates, found[name])
        assert as_told(says(world), told[name]).items() <= told[name].items()


def test_a_load_that_its_version_began_comes_to_the_same_end(kept, folder, fates):
    """Whatever the stage that it died in, and if it had not begun."""
    kind, found, told = kept
    for name, point in found.items():
        world = read_back(kind, folder / name, fates, point)
        report = world.run(told["load"])
        ended = {"account": account(report), **as_told(says(world), told[END])}
        assert (name, ended) == (name, told[END])


def test_its_reports_are_read_and_printed(kept, folder, fates):
    kind, found, told = kept
    world = read_back(kind, folder / "staging", fates, found[END])
    loads = {load.load_id: load for load in LoadIndex().loads(world.staging)}
    own = loads[MODULES[kind].LOAD_ID]
    counts = told[END]["account"]
    assert (own.state, own.rows, own.counts["accepted"]) == ("committed", counts["rows"], counts["accepted"])
    for load_id in loads:
        report = report_of(world.staging, load_id)
        assert load_id in page(report)
        path = rejected_path(world.staging, report)
        rejected = list(rejected_rows(world.staging, path)) if path else []
        assert len(rejected) == report.get("rejected", 0)
        assert all(row.reason and row.content for row in rejected)


def test_its_records_are_found_by_their_keys(kept, folder, fates):
    kind, found, told = kept
    world = read_back(kind, folder / "staging", fates, found[END])
    now = world.staging.surroundings.now()
    for key, known in told[END]["ledger"].items():
        newest = sightings(world.staging, world.ledger.read(), key, now)[0]
        assert newest.generation.isoformat() == known["generation"]
        assert (newest.record and json.loads(newest.record)) == known["record"]


@pytest.mark.parametrize("version", WITH_SYNC_LOG, ids=lambda version: version.name)
def test_the_tables_of_its_sync_log_take_the_loads_of_this_version(version):
    """Old rows keep what they say; what this version knows besides is empty in them."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((version / SYNC_LOG).read_text())
        before = [sync_log.rows(connection, table)[sync_log.LOAD_ID] for table in sync_log.TABLES]
        sync_log.log(connection, "another")
        for table, old in zip(sync_log.TABLES, before, strict=True):
            found = sync_log.rows(connection, table)
            lacked = {one.name: None for one in table.columns if one.name not in old}
            assert found[sync_log.LOAD_ID] == {**lacked, **old}
            new = sync_log.row("another")
            assert found["another"].items() >= {one.name: new[one.name] for one in table.columns}.items()


@pytest.mark.parametrize("kind", WORLDS)
def test_what_this_version_stores_is_kept(kind, folder, fates):
    """Where it is not: if it is to change, keep it with `python -m tests.formats.write --again`, or after the version
    was raised without --again, and see that what is older is read."""
    stored, _ = lived(kind, folder / "staging", fates)
    kept = points.read(NEWEST / f"{kind}.tar.xz")
    assert list(stored) == list(kept)
    now, then = (set().union(*(shape(point.files) for point in one.values())) for one in (stored, kept))
    assert (sorted(now - then), sorted(then - now)) == ([], [])


def test_the_sync_log_of_this_version_is_kept():
    assert sync_log.written() == (NEWEST / SYNC_LOG).read_text()


def test_what_a_version_has_kept_is_never_written_again():
    with pytest.raises(SystemExit, match=f"{NEWEST.name} is there, and is never written again"):
        folder_for(NEWEST.name.partition("+")[0], again=False)
    assert not folder_for(NEWEST.name.partition("+")[0], again=True).exists()
    assert folder_for("99.0", again=False).name == "99.0"


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_what_is_kept_is_small(version):
    assert sum(path.stat().st_size for path in version.iterdir()) < MOST_BYTES
