"""Rows frozen before the first request: every fit row once in slices, the others put aside, in bounded memory."""

import gc
import io
import json
import math
import tracemalloc
from contextlib import nullcontext
from decimal import Decimal

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.cells.ids import is_empty_id
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.spool.every_column import with_every_column
from optimove_provider.loads.spool.freeze import READ_AHEAD, Frozen, freeze
from optimove_provider.loads.spool.row_files import rows_batch
from optimove_provider.loads.spool.slices import SLICES_IN_A_FILE, RowFilesWriter
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.read.json_lines import json_rows
from optimove_provider.records.read.sources import list_batches
from optimove_provider.records.to_json.encode import Encoder


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def numbered(count, batch_rows=4000):
    for first in range(0, count, batch_rows):
        yield pa.RecordBatch.from_pydict({"id": list(range(first, min(first + batch_rows, count)))})


def frozen(staging, batches, key_type="integer"):
    return freeze(
        batches, staging, "load/spool", "load/rejected.jsonl", lambda schema: Encoder(schema, "id", key_type), "id"
    )


def records(staging, spool):
    slices = spool.parts.read(staging, range(spool.parts.slices))
    return [[json.loads(text) for text in one.records.to_pylist()] for one in slices]


@pytest.mark.parametrize(
    ("rows", "counts"), [(0, []), (1, [1]), (4999, [4999]), (5000, [5000]), (5001, [5000, 1]), (10001, [5000, 5000, 1])]
)
@pytest.mark.parametrize("batch_rows", [999, 5000])
def test_slices_hold_every_row_once_and_in_order(staging, rows, counts, batch_rows):
    spool = frozen(staging, numbered(rows, batch_rows))
    found = records(staging, spool)
    assert (spool.rows, spool.fit, [len(one) for one in found]) == (rows, rows, counts)
    assert [record["id"] for one in found for record in one] == list(range(rows))


def test_slices_go_on_in_the_next_part(staging):
    rows = pa.array(range(1, SLICES_IN_A_FILE * 5000 + 2))
    texts = rows.cast(pa.string())
    with RowFilesWriter(staging, "parts") as writer:
        writer.add(rows_batch(rows, texts, texts))
    assert [path.rpartition("/")[2] for path in writer.written.paths] == ["part-00000.parquet", "part-00001.parquet"]
    some = writer.written.read(staging, [0, SLICES_IN_A_FILE - 1, SLICES_IN_A_FILE])
    assert [(one.rows[0].as_py(), len(one)) for one in some] == [(1, 5000), (495_001, 5000), (500_001, 1)]


def test_a_spool_that_broke_off_is_written_anew(staging):
    def breaking():
        yield from numbered(600_000, 50_000)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        frozen(staging, breaking())
    spool = frozen(staging, numbered(1))
    assert staging.names("load/spool") == ["part-00000.parquet"]
    assert records(staging, spool) == [[{"id": 0}]]


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=30, unique=True))
def test_a_missing_key_is_put_aside_with_the_row(tmp_path_factory, keys):
    staging = Staging(LocalFileSystem(), str(tmp_path_factory.mktemp("spool")))
    batch = pa.RecordBatch.from_pydict({"id": pa.array(keys, pa.string()), "n": list(range(len(keys)))})
    spool = frozen(staging, [batch], "string")
    missing = [row for row, key in enumerate(keys, 1) if key is None or is_empty_id(key)]
    assert (spool.rows, spool.fit, spool.rejected) == (len(keys), len(keys) - len(missing), len(missing))
    with staging.open("load/rejected.jsonl") as lines:
        told = [json.loads(line) for line in lines]
    assert [one["row"] for one in told] == missing
    assert [one["record"]["n"] for one in told] == [row - 1 for row in missing]


@pytest.mark.parametrize(
    ("keys", "key_type", "complaint"),
    [
        (["a", "b", "a"], "string", 'keys twice.*: "a" in rows 1 and 3'),
        (["1", "01"], "integer", "1 in rows 1 and 2"),
        ([7, 8, 8], "string", '"8" in rows 2 and 3'),
    ],
)
def test_a_doubled_key_refuses_the_load(staging, keys, key_type, complaint):
    with pytest.raises(DataError, match=complaint):
        frozen(staging, [pa.RecordBatch.from_pydict({"id": keys})], key_type)


KEYS = st.one_of(
    st.lists(
        st.one_of(st.none(), st.sampled_from(["a", "b", "1", "", " ", "\u00e9", "a ", '"', "\\"])), max_size=6
    ).map(lambda keys: pa.array(keys, pa.string())),
    st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=4).map(lambda keys: pa.array(keys, pa.int64())),
    st.lists(st.sampled_from(["a", "b", "1"]), max_size=4).map(lambda keys: pa.array(keys).dictionary_encode()),
    st.lists(st.one_of(st.none(), st.sampled_from(['"a"', '"\\u0061"', "1", '"1"', "[1]", "null"])), max_size=4).map(
        lambda keys: pa.array(keys, pa.string()).cast(pa.json_(pa.string()))
    ),
)


@given(st.lists(KEYS, max_size=4), st.booleans())
def test_a_doubled_key_is_found_as_text_or_as_it_travels(tmp_path_factory, batches, has_unfit):
    """Where all keys are text, and travel as they are, their bytes are compared anyway for the warnings about ids."""
    staging = Staging(LocalFileSystem(), str(tmp_path_factory.mktemp("spool")))
    told = []
    for keeps in (False, True):
        values = [math.nan if has_unfit and not place % 3 else 1.5 for place in range(6)]
        rows = [pa.record_batch({"id": keys, "v": pa.array(values[: len(keys)], pa.float64())}) for keys in batches]
        how = Frozen(keys_as_they_are=keeps)
        try:
            spool = freeze(iter(rows), staging, "load/spool", "load/aside", encoded_as_text, "id", how, Findings())
            told.append((spool.rows, spool.fit, spool.rejected))
        except DataError as error:
            told.append(str(error))
    assert told[0] == told[1]


def encoded_as_text(schema):
    return Encoder(schema, "id", "string")


@pytest.mark.parametrize("keys", [["a", "A"], ["1", "01"], ["é", "e\u0301"], ["a", "a "], ["a\x00", "a\x00\x00"]])
def test_keys_that_look_alike_are_two(staging, keys):
    assert frozen(staging, [pa.RecordBatch.from_pydict({"id": keys})], "string").fit == 2


@pytest.mark.any_version
def test_memory_holds_slices_and_not_the_load(staging):
    def peak(rows):
        gc.collect()  # what other tests left is freed before, not meanwhile
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        try:
            most = 0
            for batch in numbered(rows):
                most = max(most, pa.total_allocated_bytes() - before)
                yield batch
            peaks.append((most, tracemalloc.get_traced_memory()[1]))
        finally:
            tracemalloc.stop()

    peaks = []
    for rows in (1, 200_000, 800_000):
        frozen(staging, peak(rows))
    _, small, large = peaks
    ahead = READ_AHEAD * next(numbered(200_000)).nbytes  # how many batches wait is a matter of how busy the machine is
    assert large[0] < 1.5 * small[0] + ahead
    assert large[1] < 1.5 * small[1]


def text_aside(staging):
    with staging.open("load/rejected.jsonl") as file:
        return file.read()


def put_aside(staging):
    return [json.loads(line) for line in text_aside(staging).splitlines()]


class Shown:
    def __repr__(self):
        return "<shown>"


def test_a_rejected_row_is_kept_such_that_a_replay_finds_the_same_fault(staging):
    values = [1, math.nan, {"a": [Decimal("NaN")]}, "\ud83d", b"x", Shown(), {1: 2}, ["\ud83d"], "a"]
    spool = frozen(staging, list_batches([{"id": number, "v": value} for number, value in enumerate(values)]))
    assert (spool.rows, spool.fit, spool.rejected, spool.keyless) == (9, 2, 7, 0)
    assert records(staging, spool) == [[{"id": 0, "v": 1}, {"id": 8, "v": "a"}]]
    lines = put_aside(staging)
    assert [line["row"] for line in lines] == [2, 3, 4, 5, 6, 7, 8]
    assert all(line["reason"].startswith("column 'v': ") for line in lines)
    assert [line.get("text") for line in lines] == [
        *(None, None, None, "id: 4, v: b'x'", "id: 5, v: <shown>", "id: 6, v: {1: 2}", None)
    ]
    replayed = frozen(staging, json_rows(io.BytesIO(text_aside(staging)), "rejected.jsonl"))
    assert (replayed.rows, replayed.fit, replayed.rejected) == (7, 0, 7)
    again = put_aside(staging)
    assert [line["reason"] for line in again] == [line["reason"] for line in lines]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**60], pa.int64()).view(pa.timestamp("us")),
        pa.array([90_000], pa.int32()).view(pa.time32("s")),
        pa.array([b"\xff"]).view(pa.string()),
        pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())),
        pa.array([1], pa.int64()).view(pa.date64()),
    ],
    ids=lambda column: str(column.type),
)
def test_what_only_a_file_with_types_can_hold_is_not_replayed_as_text(staging, column):
    spool = frozen(staging, [pa.record_batch({"id": [1], "v": column})])
    assert (spool.fit, spool.rejected, spool.keyless) == (0, 1, 0)
    (line,) = put_aside(staging)
    assert line["text"].startswith("id: 1, v: ")
    replayed = frozen(staging, json_rows(io.BytesIO(text_aside(staging)), "rejected.jsonl"))
    assert (replayed.rows, replayed.rejected) == (1, 1)


def test_a_key_column_that_no_row_has_refuses_the_load(staging):
    with pytest.raises(DataError, match="the key column 'id' is missing; the source has ID, v"):
        frozen(staging, list_batches([{"ID": 1}, {"v": 2}]))
    assert frozen(staging, list_batches([{"v": 2}, None, {"id": 1}])).rejected == 2


def test_rows_of_several_kinds_wait_in_a_file_and_stay_what_they_are(staging):
    rows = [{"id": 1, "v": "a"}, {"id": 2, "v": math.nan}, None, {"id": 3, "w": 2**70}]
    with with_every_column(lambda: nullcontext(list_batches(rows)))() as batches:
        spool = frozen(staging, batches)
    assert records(staging, spool) == [[{"id": 1, "v": "a"}, {"id": 3, "w": 2**70}]]
