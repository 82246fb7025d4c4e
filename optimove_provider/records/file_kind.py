"""What a file is that is called CSV and is none: told by its first bytes, with the next step."""

import re

HEAD_BYTES = 1 << 13

_SAVE = "open it in its program and save it as CSV, UTF-8"
_UNPACK = "unpack it first, or give it a name that ends in"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls) or another Office document", _SAVE),
    (b"\x1f\x8b", "packed with gzip", f"{_UNPACK} .csv.gz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", f"{_UNPACK} .csv.zst"),
    (b"BZh", "packed with bzip2", "unpack it first"),
    (b"\xfd7zXZ\x00", "packed with xz", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    (b"PAR1", "a Parquet file", "give it a name that ends in .parquet and load that, or write it as CSV"),
    (b"ARROW1", "an Arrow file", "give it a name that ends in .arrow and load that, or write it as CSV"),
    (b"\xff\xff\xff\xff", "an Arrow stream", "write it as CSV"),
    (b"Obj\x01", "an Avro file", "write it as CSV"),
    (b"ORC", "an ORC file", "write it as CSV"),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    (b"PGDMP", "a dump of PostgreSQL", "export the table with COPY ... CSV HEADER"),
    (b"%PDF-", "a PDF", "ask for the table itself as CSV"),
    (b"{\\rtf", "an RTF document", _SAVE),
    (b"\x89PNG", "an image", "ask for the table itself as CSV"),
    (b"\xff\xd8\xff", "an image", "ask for the table itself as CSV"),
    (b"version https://git-lfs.github.com/", "a pointer of Git LFS, not the file", "fetch the file with git lfs pull"),
)
_TEXT_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body|table|script)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<(?:\?xml|!--|[a-z][\w:.-]*[\s/>])", re.IGNORECASE)
_JSON = re.compile(rb'\s*(?:\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\}\s*$)|\[\s*(?:\{\s*["}]|\[|\]\s*$))')


def other_kind(head: bytes) -> str:
    """What a file is, and what to do, by its first HEAD_BYTES bytes; "" if it may be CSV text in some encoding."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(head)
    for magic, kind, advice in _MAGIC:
        # A header may well begin with the three letters of a magic number: then a byte follows that is no text.
        if head.startswith(magic) and (len(magic) > 3 or not magic.isascii() or b"\x00" in head):
            return f"{kind}: {advice}"
    text = head.removeprefix(_TEXT_MARKS[0])
    if _HTML.match(text):
        return "a page of HTML, such as a login page or an error in place of the download: fetch the file again"
    if _XML.match(text):
        return "XML, such as an error in place of the download: fetch the file again, or write it as CSV"
    if _JSON.match(text):
        return "JSON: write it as CSV, or, for an upload to Opti-X, as JSON Lines in a .jsonl file"
    return ""


def _zipped(head: bytes) -> str:
    if b"opendocument.spreadsheet" in head:
        return f"an OpenDocument spreadsheet (.ods): {_SAVE}"
    if b"[Content_Types].xml" in head or b"xl/" in head:
        return f"an Excel workbook (.xlsx): {_SAVE}"
    return "a zip archive: unpack it first, or pack it with gzip and call it .csv.gz"


def unmarked_utf16(head: bytes) -> str:
    """Python's name of the UTF-16 or UTF-32 that a text is in, without a mark that says so; "" for any other.

    A header tells it too: values may be of a script in which few bytes are zero.
    """
    if b"\x00" not in head or head.startswith(_TEXT_MARKS):
        return ""
    line = _HEADER.match(head)
    return _zeroed(head) or (_zeroed(line[0]) if line else "")


_HEADER = re.compile(rb"(?:[^\r\n\x00]\x00)+|(?:\x00[^\r\n\x00])+")


def _zeroed(text: bytes) -> str:
    """The encoding in which most characters of a text are of ASCII, by where its bytes are zero."""
    if len(text) < 16:
        return ""
    size = len(text) // 4 * 4
    zeros = [text[start:size:4].count(0) / (size // 4) for start in range(4)]
    for name, wanted in (("utf-32-le", "0111"), ("utf-32-be", "1110"), ("utf-16-le", "0101"), ("utf-16-be", "1010")):
        if all((share > 0.6) if zero == "1" else (share < 0.1) for share, zero in zip(zeros, wanted, strict=True)):
            return name
    return ""
