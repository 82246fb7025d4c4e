"""The rules about a file, its text, its header, its rows, its ids and personal data: their names and severities.

The rules about cells are in `contract/cells/datatypes.py`. docs/rules.md is printed from both.
"""

from dataclasses import dataclass

from optimove_provider.records.findings.findings import ERROR, WARNING


@dataclass(frozen=True, slots=True)
class FileRule:
    """`name` is the stable id that findings carry; `finds` says what they are about."""

    name: str
    finds: str
    severity: str = ERROR


EMPTY_FILE = FileRule("empty-file", "there is no header row")
NOT_CSV = FileRule("not-csv", "a file that is no CSV: a spreadsheet, an archive, Parquet, PDF, HTML, JSON")
CONVERTED = FileRule("converted", "the file was read with another encoding or separator than are sent", WARNING)
HEADER_ONLY = FileRule("header-only", "there is no row after the header", WARNING)
SIZE = FileRule("size", "the file is as large as an import must not be, or larger (10 GB)")
BOM = FileRule("bom", "the file begins with a byte order mark", WARNING)
LINE_ENDS = FileRule("line-ends", "the first row that ends in another way than the header", WARNING)
EARLY_BLANK_LINE = FileRule("blank-line", "a blank line before the header")
BLANK_LINE = FileRule("blank-line", "a blank line after the header, which is no row", WARNING)

QUOTE = FileRule("quote", "a quote that is not closed, or not doubled, or in a cell that is not quoted")
QUOTE_SPACE = FileRule(
    "quote-space", "a space before an opening quote, as in the vendor's sample row (strict: an error)", WARNING
)
BARE_CR = FileRule("bare-cr", "a carriage return outside of quotes without a line feed after it")
TOO_LONG = FileRule("too-long", "a cell of more than 131,072 characters, a record of more than 1 MiB")
ENCODING = FileRule("encoding", "bytes that are not UTF-8")
NUL = FileRule("nul", "a NUL character")

SEPARATOR = FileRule("separator", "a header whose names are separated by another character")
HEADER_CUSTOMER_ID = FileRule("header-customer-id", "not one column `customerId`, in any case, but none or several")
HEADER_KEY = FileRule("header-key", "Opti-X: not one column that is the key, but none or several")
HEADER_DUPLICATE = FileRule("header-duplicate", "a name that is there before")
HEADER_ARCHIVED = FileRule("header-archived", "the name of an attribute that is archived")
HEADER_UNUSABLE = FileRule(
    "header-unusable", "the name of an attribute of an unknown datatype or format, or of two that are not archived"
)
HEADER_PADDED = FileRule("header-padded", "the name of an attribute with white space around it")
HEADER_UNKNOWN = FileRule("header-unknown", "a name that no attribute has")
HEADER_COLON = FileRule("header-colon", "Opti-X: a name with a colon, which no campaign's formula can name", WARNING)
COLON = (
    "a colon in a column's name: a campaign's formula, DC_<uuid>:<key>::<column>:<default>, cannot name it, since "
    "colons separate its parts; rename the column in the query or file"
)

RAGGED = FileRule("ragged", "a row with more or fewer cells than the header")
HEADER_REPEATED = FileRule("header-repeated", "a row that is the header once more, as in files put together with `cat`")
AFTER_QUOTE = FileRule("after-quote", "a row that may be a part of a quoted cell which is broken before it")
CUSTOMER_ID = FileRule("customer-id", "a row whose `customerId` is empty: nothing can be seen in it")
KEY = FileRule("key", "Opti-X: a row whose key is empty: nothing can be seen in it")
NULL_MARKER = FileRule("null-marker", "a marker of null, such as `\\N` or NULL, in a column of text", WARNING)

ID_LEADING_ZEROS = FileRule("id-leading-zeros", "a number that is shorter than the other ids", WARNING)
ID_EXPONENT = FileRule("id-exponent", "an id with an exponent, as a spreadsheet writes it", WARNING)
ID_PADDING = FileRule("id-padding", "white space of any kind before or after an id", WARNING)
ID_UNSEEN = FileRule("id-unseen", "an id with characters that nobody sees, or not in Unicode's form NFC", WARNING)
ID_NULL = FileRule("id-null", "a marker of null as an id", WARNING)
ID_CASE = FileRule("id-case", "an id that is there before in another case", WARNING)
ID_LOOKALIKE = FileRule("id-lookalike", "an id that differs from an earlier one only in what nobody sees", WARNING)
ID_DUPLICATE = FileRule("id-duplicate", "an id that is there before (Opti-X: an error)", WARNING)

PII_NAME = FileRule("pii-name", "a column that looks like people's names or addresses", WARNING)
PII_EMAIL = FileRule("pii-email", "a column that looks like e-mail addresses", WARNING)
PII_PHONE = FileRule("pii-phone", "a column that looks like phone numbers", WARNING)
PII_CARD = FileRule("pii-card", "a column that looks like card or bank account numbers", WARNING)
PII_SSN = FileRule("pii-ssn", "a column that looks like social-security or other identity numbers", WARNING)

FILE_RULES: dict[str, tuple[FileRule, ...]] = {
    "The file": (*(EMPTY_FILE, NOT_CSV, CONVERTED, HEADER_ONLY, SIZE, BOM, LINE_ENDS, EARLY_BLANK_LINE, BLANK_LINE),),
    "The text": (QUOTE, QUOTE_SPACE, BARE_CR, TOO_LONG, ENCODING, NUL),
    "The header": (
        *(SEPARATOR, HEADER_CUSTOMER_ID, HEADER_KEY, HEADER_DUPLICATE, HEADER_ARCHIVED, HEADER_UNUSABLE),
        *(HEADER_PADDED, HEADER_UNKNOWN, HEADER_COLON),
    ),
    "Rows": (RAGGED, HEADER_REPEATED, AFTER_QUOTE, CUSTOMER_ID, KEY, NULL_MARKER),
    "Ids": (*(ID_LEADING_ZEROS, ID_EXPONENT, ID_PADDING, ID_UNSEEN, ID_NULL, ID_CASE, ID_LOOKALIKE, ID_DUPLICATE),),
    "Personal data": (PII_NAME, PII_EMAIL, PII_PHONE, PII_CARD, PII_SSN),
}
"""All of them, under what they are about."""
