"""Where batches are cut: by rows and by bytes."""

import pyarrow as pa
import pytest

from optimove_provider.records.rows import BATCH_BYTES, BATCH_ROWS, MAX_ROW_BYTES, Unread, small_batches


def sizes(batch):
    return [item if isinstance(item, Unread) else item.num_rows for item in small_batches(batch)]


def test_a_batch_has_so_many_rows():
    batch = pa.record_batch({"a": pa.nulls(2 * BATCH_ROWS + 1)})
    assert sizes(batch) == [BATCH_ROWS, BATCH_ROWS, 1]


@pytest.mark.parametrize("type_", [pa.string(), pa.list_(pa.string())], ids=str)
def test_and_so_many_bytes(type_):
    text = "x" * (1 << 20)
    values = [[text] if pa.types.is_list(type_) else text] * 80
    batch = pa.record_batch({"id": pa.array(range(80)), "a": pa.array(values, type_)})
    found = list(small_batches(batch))
    assert pa.Table.from_batches(found) == pa.table(batch)
    assert 3 <= len(found) <= 6
    assert max(one.nbytes for one in found) <= BATCH_BYTES


def test_rows_that_share_a_long_dictionary_are_not_taken_for_long():
    words = pa.array([str(number) * 1000 for number in range(1000, 10_000)])
    column = pa.DictionaryArray.from_arrays(pa.array(range(9000), pa.int32()), words)
    assert column.dictionary.nbytes > BATCH_BYTES
    found = sizes(pa.record_batch({"a": column, "b": pa.array([["x"]] * 9000)}))
    assert sum(found) == 9000
    assert len(found) < 4


def test_rows_that_repeat_a_long_word_are_taken_for_what_they_become():
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), pa.array(["x" * (1 << 20)]))
    assert max(sizes(pa.record_batch({"a": column}))) <= 32


def test_a_row_that_is_too_long_comes_alone():
    texts = ["x" * (MAX_ROW_BYTES + 1), "a", "b" * MAX_ROW_BYTES, "c"]
    first, second, third, fourth = small_batches(pa.record_batch({"id": ["k1", "k2", "k3", "k4"], "a": texts}))
    assert isinstance(first, Unread)
    assert first.text == '{"id": "k1"}'
    assert second.num_rows == fourth.num_rows == 1
    assert isinstance(third, Unread)  # as its key is in it too
