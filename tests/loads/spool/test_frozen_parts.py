"""Rows that several tasks froze are what one pass over all of them would have frozen."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.spool import row_digests, row_files
from optimove_provider.loads.spool.freeze import Frozen, freeze
from optimove_provider.loads.spool.frozen_parts import FrozenPart, FrozenParts, PartLost, freeze_part
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.rows import Unread
from optimove_provider.records.to_json.encoding import Encoding

pytestmark = pytest.mark.any_version
ENCODING = Encoding("id", "string", "omit", "gone")
PART, WHOLE = "loads/1/source", "loads/1/spool-0"


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def batch(ids, first=0):
    """Rows of which each seventh is a deletion, and each fifth has a number that JSON has not."""
    numbers = range(first, first + len(ids))
    values = [float("nan") if number % 5 == 4 else number / 2 for number in numbers]
    gone = [number % 7 == 6 for number in numbers]
    return pa.record_batch({"id": pa.array(ids, pa.string()), "value": values, "gone": gone})


def source(ids, at_once):
    for first in range(0, len(ids), at_once):
        yield batch(ids[first : first + at_once], first)
        yield Unread(f"after {first}", "no row")


def how_many(items):
    return sum(1 if isinstance(item, Unread) else item.num_rows for item in items)


def in_parts(staging, parts, how, findings=None, aside="loads/1/aside"):
    """Freeze parts in an order of its own, as tasks do, and put them together."""
    rows, found = [how_many(part) for part in parts], {}
    for number in reversed(range(len(parts))):
        own = replace(how, before=sum(rows[:number]), in_all=sum(rows))
        frozen = freeze_part(iter(parts[number]), staging, f"{PART}/{number}", ENCODING.encoder, "id", own)
        found[number] = FrozenPart.from_json(frozen.as_json())
    every = FrozenParts(lambda: [found[number] for number in range(len(parts))])
    return every.put_together(staging, "id", WHOLE, aside, how, findings if findings is not None else Findings())


def in_one(staging, rows, how, findings=None):
    return freeze(rows, staging, "loads/2/spool-0", "loads/2/aside", ENCODING.encoder, "id", how, findings)


def kept(staging, folder, spool, aside):
    """All that is known of frozen rows, but for what files they are in."""
    names = row_files.ROWS.names
    kinds = (row_files.sendable_paths, row_files.deleted_paths, row_files.paths)
    rows = [
        sorted(str(row) for path in paths(staging, folder) for one in row_files.read(staging, path, names)
               for row in one.to_pylist())
        for paths in kinds
    ]  # fmt: skip
    slices = list(spool.parts.read(staging, spool.parts.numbers))
    sent = [row for one in slices for row in zip(one.rows.to_pylist(), one.records.to_pylist(), strict=True)]
    with staging.open(aside) as lines:
        put_aside = lines.read()
    counts = (spool.rows, spool.fit, spool.rejected, spool.keyless, spool.deleted, spool.columns)
    return counts, rows, sent, put_aside, [len(one) for one in slices] == list(spool.parts.all_lengths)


@pytest.mark.parametrize(("slices_in_a_file", "rows_of_a_slice"), [(100, 5000), (2, 3), (1, 1)])
@given(
    ids=st.lists(st.text("abA \u200b", max_size=4), max_size=40, unique=True),
    at_once=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 12), max_size=4),
)
def test_parts_become_what_one_pass_makes(tmp_path_factory, slices_in_a_file, rows_of_a_slice, ids, at_once, cuts):
    staging = Staging(LocalFileSystem(), str(tmp_path_factory.mktemp("staging")))
    items = list(source(ids, at_once))
    ends = sorted({0, len(items), *(min(cut, len(items)) for cut in cuts)})
    parts = [items[first:end] for first, end in pairwise(ends)] or [[]]
    parts.insert(1, [])  # a file without a row
    how = Frozen(compared=True, stamp='{"by":"us"}', deleted_column=ENCODING.deleted)
    told = Findings(), Findings()
    with pytest.MonkeyPatch.context() as small:
        small.setattr("optimove_provider.loads.spool.slices.SLICES_IN_A_FILE", slices_in_a_file)
        for module in ("slices.MAX_RECORDS", "row_files.ROW_GROUP"):
            small.setattr(f"optimove_provider.loads.spool.{module}", rows_of_a_slice)
        together = in_parts(staging, parts, how, told[0])
        alone = in_one(staging, iter(items), how, told[1])
        assert kept(staging, together.parts.folder, together, "loads/1/aside") == kept(
            staging, "loads/2/spool-0", alone, "loads/2/aside"
        )
    assert told[0].as_json() == told[1].as_json()


def test_some_slices_are_found_in_whatever_file_they_are(staging):
    parts = [[batch([f"{part}-{row}" for row in range(7)], 7 * part)] for part in range(4)]
    with pytest.MonkeyPatch.context() as small:
        small.setattr("optimove_provider.loads.spool.slices.SLICES_IN_A_FILE", 2)
        for module in ("slices.MAX_RECORDS", "row_files.ROW_GROUP"):
            small.setattr(f"optimove_provider.loads.spool.{module}", 2)
        files = in_parts(staging, parts, Frozen(deleted_column=ENCODING.deleted)).parts
        every = {one.number: one.rows.to_pylist() for one in files.read(staging, files.numbers)}
        assert len(files.paths) > 4
        for first in range(files.slices):
            for end in range(first + 1, files.slices + 1):
                some = files.some(range(first, end))
                assert [one.rows.to_pylist() for one in some.read(staging, some.numbers)] == [
                    every[number] for number in range(first, end)
                ]
                assert some.rows_of_some == sum(len(every[number]) for number in range(first, end))
                assert some.paths == list(dict.fromkeys(files.path(number) for number in range(first, end)))


def test_a_key_that_two_parts_have_is_told_by_its_rows_in_the_whole(staging):
    parts = [[batch(["a", "b"])], [Unread("x", "no row"), batch(["c", "a"], 10)]]
    with pytest.raises(DataError, match=r'"a" in rows 1 and 5'):
        in_parts(staging, parts, Frozen(deleted_column=ENCODING.deleted))


def test_a_key_that_one_part_deletes_and_another_has_is_there_twice(staging):
    parts = [[batch(["a", "b"])], [batch(["a"], 6)]]  # the seventh is a deletion
    with pytest.raises(DataError, match=r'"a" in rows 1 and 3'):
        in_parts(staging, parts, Frozen(deleted_column=ENCODING.deleted))


def test_digests_of_parts_are_those_of_the_whole(staging, monkeypatch, tmp_path):
    monkeypatch.setattr(row_digests, "FROM_ROWS", 10)
    how = Frozen(compared=True, seed="secret", deleted_column=ENCODING.deleted)
    parts = [[batch([f"{part}-{row}" for row in range(9)], 9 * part)] for part in range(3)]
    together = in_parts(staging, parts, how)
    in_one(staging, (item for part in parts for item in part), how)

    def digests(folder):
        paths = row_files.sendable_paths(staging, folder)
        files = row_digests.kept(staging, ((path, None) for path in paths), "secret", tmp_path)
        found = [rows for file in files for rows in file.read(0, row_digests.RANGES)]
        return sorted(
            (int(number), int(first)) for rows in found for number, first in zip(rows.numbers, rows.first, strict=True)
        )

    assert digests(together.parts.folder) == digests("loads/2/spool-0") != []


def test_another_try_that_puts_parts_together_too_harms_none(staging):
    """It was taken for dead, and goes on when the other one has planned."""
    found = [
        freeze_part(iter([batch([f"{part}"])]), staging, f"{PART}/{part}", ENCODING.encoder, "id", Frozen())
        for part in range(9)
    ]
    waits, goes_on = threading.Barrier(2, timeout=20), threading.Event()

    def put_together(find):
        every = FrozenParts(find)
        return every.put_together(staging, "id", WHOLE, "loads/1/aside", Frozen(), Findings())

    def late():
        waits.wait()
        assert goes_on.wait(20)
        return found

    with ThreadPoolExecutor(1) as pool:
        zombie = pool.submit(put_together, late)
        waits.wait()
        first = put_together(lambda: found)
        goes_on.set()
        second = zombie.result(20)
    for spool in (first, second):
        keys = [
            key for one in row_files.read_rows(staging, spool.parts.folder, ["_key"]) for key in one["_key"].to_pylist()
        ]
        assert keys == [f'"{part}"' for part in range(9)]


@pytest.mark.parametrize(
    "name", ["part-00000.parquet", "deleted-00000.parquet", "refused-00000.parquet", "rejected.jsonl", "text.keys"]
)
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_a_part_whose_files_are_damaged_is_named(staging, tmp_path, name, damage):
    parts = [[batch([f"{part}-{row}" for row in range(9)], 9 * part)] for part in range(3)]
    how = Frozen(deleted_column=ENCODING.deleted)
    found = [
        freeze_part(iter(part), staging, f"{PART}/{number}", ENCODING.encoder, "id", replace(how, before=9 * number))
        for number, part in enumerate(parts)
    ]
    path = tmp_path / PART / "1" / name
    content = {"gone": None, "cut": path.read_bytes()[:-9], "empty": b""}[damage]
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(PartLost, match=r"frozen of part 2 of 3 .* \(map index 1\)"):
        FrozenParts(lambda: found).put_together(staging, "id", WHOLE, "loads/1/aside", how, Findings())


def test_keys_that_end_where_one_batch_of_them_ends_are_missed(staging, tmp_path):
    path, two = tmp_path / PART / "0" / "text.keys", [batch(["a"]), batch(["b"], 1)]
    freeze_part(iter(two[:1]), staging, f"{PART}/0", ENCODING.encoder, "id", Frozen())
    of_one = path.read_bytes()
    found = freeze_part(iter(two), staging, f"{PART}/0", ENCODING.encoder, "id", Frozen())
    path.write_bytes(of_one)
    with pytest.raises(PartLost, match="part 1 of 1"):
        FrozenParts(lambda: [found]).put_together(staging, "id", WHOLE, "loads/1/aside", Frozen(), Findings())


def test_of_no_rows_there_is_nothing(staging):
    spool = in_parts(staging, [[], []], Frozen())
    assert (spool.rows, spool.fit, spool.parts.paths, spool.parts.slices) == (0, 0, [], 0)
