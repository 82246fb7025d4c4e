"""Packed files are read to their end and in constant memory; what is damaged is said."""

import gzip
import io
import tracemalloc

import pyarrow as pa
import pytest

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.records.attributes import listed_attributes
from optimove_provider.records.files import check_name, decompressed, delimiter_of

TEXT = b"customerId,a\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(50_000))
PACK = {
    "a.csv": bytes,
    "a.csv.gz": gzip.compress,
    "a.CSV.GZ": gzip.compress,
    "a.csv.zst": lambda text: pa.compress(text, "zstd", asbytes=True),
}


def unpacked(packed: bytes, name: str) -> bytes:
    return decompressed(io.BytesIO(packed), name).read()


@pytest.mark.parametrize("name", PACK)
def test_the_text_comes_out_as_it_was(name):
    assert unpacked(PACK[name](TEXT), name) == TEXT


@pytest.mark.parametrize("name", [name for name in PACK if name != "a.csv"])
def test_a_file_of_several_members_is_read_to_its_end(name):
    assert unpacked(b"".join(PACK[name](part) for part in (TEXT, b"", b"x,1\n", TEXT)), name) == TEXT + b"x,1\n" + TEXT


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst"])
@pytest.mark.parametrize("missing", [1, 4, 1000])
def test_a_file_that_was_cut_off_is_no_shorter_file(name, missing):
    with pytest.raises(DataError, match=rf"'{name}' is cut off"):
        unpacked(PACK[name](TEXT)[:-missing], name)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst"])
def test_what_is_not_packed_or_goes_on_after_its_end_is_refused(name):
    for packed in (TEXT, PACK[name](TEXT) + b"garbage"):
        with pytest.raises(DataError, match=rf"'{name}' is no (gzip|zstd) file, or it is damaged"):
            unpacked(packed, name)


def test_a_flipped_bit_is_seen_by_the_checksum():
    packed = bytearray(gzip.compress(TEXT))
    packed[-6] ^= 1
    with pytest.raises(DataError, match="damaged"):
        unpacked(bytes(packed), "a.csv.gz")


class Broken(io.RawIOBase):
    def readable(self):
        return True

    def read(self, size=-1):
        raise ConnectionResetError(104, "Connection reset by peer")


def test_a_fault_of_the_stream_below_is_not_called_damage():
    with pytest.raises(ConnectionResetError):
        decompressed(Broken(), "a.csv.gz").read(10)


def test_memory_does_not_grow_with_the_file():
    packed = gzip.compress(b"1,2\n" * 16_000_000)
    stream = decompressed(io.BytesIO(packed), "a.csv.gz")
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        total = 0
        while block := stream.read(1 << 20):
            total += len(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 64_000_000
    assert peak < 8 << 20
    assert pa.total_allocated_bytes() - before < 8 << 20


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("a.csv", ","),
        ("a.tsv", "\t"),
        ("a.TSV.gz", "\t"),
        ("a.tsv.zst", "\t"),
        ("a.tsv.csv", ","),
        ("-", ","),
        ("tsv", ","),
    ],
)
def test_the_name_says_what_separates_the_cells(name, delimiter):
    assert delimiter_of(name) == delimiter


def test_a_name_that_is_no_csv_file_is_refused():
    for good in PACK:
        check_name(good)
    with pytest.raises(DataError, match=r"'a\.gz': a \.csv or \.tsv file is expected"):
        check_name("a.gz")


def test_all_that_is_wrong_with_a_list_of_attributes_is_said_at_once():
    listed = [{"name": "a", "datatype": "long"}, {"name": "a", "datatype": "long"}, {"datatype": "x"}, 7]
    with pytest.raises(SettingsError) as said:
        listed_attributes("attributes file 'x'", listed)
    for wrong in ("attributes file 'x'", "'a' is listed twice", "name is missing", "7 is no"):
        assert wrong in str(said.value)
    for no_list in ("abc", {"name": "a"}, None):
        with pytest.raises(SettingsError, match="a list of"):
            listed_attributes("x", no_list)
