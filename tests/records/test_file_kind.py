"""What is called CSV and is none is named as what it is; what may be CSV is not."""

import gzip
import io
import zipfile

import pytest

from optimove_provider.records.file_kind import other_kind, unmarked_utf16
from optimove_provider.records.validate.validate import Options, check_csv


def zipped(*names: str, text: str = "x") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, text)
    return packed.getvalue()


OTHERS = {
    "an Excel workbook (.xlsx)": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "an OpenDocument spreadsheet (.ods)": zipped("mimetype", text="application/vnd.oasis.opendocument.spreadsheet"),
    "a zip archive": zipped("customers.csv"),
    "an old Excel workbook (.xls)": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "packed with gzip: unpack it first, or give it a name that ends in .csv.gz": gzip.compress(b"customerId\n1\n"),
    "packed with zstd": b"\x28\xb5\x2f\xfd\x04\x58",
    "a Parquet file": b"PAR1\x15\x04\x15\x10",
    "an Arrow file": b"ARROW1\x00\x00",
    "a PDF": b"%PDF-1.7\n%\xe2\xe3",
    "an SQLite database": b"SQLite format 3\x00\x10\x00",
    "a page of HTML": b"\r\n<!DOCTYPE html>\n<html><title>Sign in</title>",
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "JSON": b'[\n {"customerId": 1}]',
    "JSON: write it": b'{"customerId": "1", "ltv": 5}\n{"customerId": "2"}\n',
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
}


@pytest.mark.parametrize(("kind", "raw"), OTHERS.items(), ids=list(OTHERS))
def test_other_files_are_one_error_that_names_them(kind, raw):
    report = check_csv(io.BytesIO(raw), [], Options())
    (error,) = report.findings
    assert (error.rule, error.severity, report.rows, report.valid_rows) == ("not-csv", "error", 0, 0)
    assert error.message.startswith(f"this is no CSV, but {kind}")
    assert report.bytes == len(raw)


@pytest.mark.parametrize(
    "header",
    [b"customerId,n\n", b"PKID,n\n", b"ORCID,n\n", b"{id},n\n", b"[id],n\n", b'"{""a"": 1}",n\n', b""],
)
def test_a_header_may_begin_oddly(header):
    assert other_kind(header) == ""


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_utf16_without_a_mark_is_named_with_the_next_step(encoding):
    raw = "customerId,name\n1,Zo\u00eb\n2,Ann\n".encode(encoding)
    assert unmarked_utf16(raw) == encoding
    (error,) = check_csv(io.BytesIO(raw), [], Options()).findings
    assert (error.rule, error.severity) == ("encoding", "error")
    assert f"without a byte order mark: save it as UTF-8; `validate --encoding {encoding}` reads it" in error.message


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_header_tells_utf16_where_few_bytes_are_zero(encoding):
    """A report of others: files of Chinese texts are taken for binary ones."""
    raw = ("customerId,name\n" + "\u5f20\u4e09,\u674e\u56db\u738b\u4e94\u8d75\u516d\n" * 50).encode(encoding)
    assert unmarked_utf16(raw) == encoding


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be"])
def test_utf32_with_a_mark_is_named_with_the_next_step(encoding):
    raw = "\ufeffcustomerId,name\n1,Ann\n".encode(encoding)
    assert "not UTF-8 but UTF-32" in str(check_csv(io.BytesIO(raw), [], Options()).findings)
    assert "`validate --encoding utf-32` reads it" in str(check_csv(io.BytesIO(raw), [], Options()).findings)


@pytest.mark.parametrize(
    "raw",
    [b"customerId,n\n1,a\0b\n", b"", b"\0" * 40, b"c\0u\0s,to\0merId,n\n1,a\n", "customerId\n1\n".encode("utf-16")],
)
def test_other_text_is_no_unmarked_utf16(raw):
    assert unmarked_utf16(raw) == ""
