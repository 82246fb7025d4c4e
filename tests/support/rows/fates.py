"""What becomes of each row of a source: its record or its cells, or why it has none."""

import csv
import io
import json
from decimal import Decimal

import pyarrow as pa

from optimove_provider.records.rows import Unread
from optimove_provider.records.to_csv.write import CsvText
from optimove_provider.records.to_json.encode import Encoder


def records(items, key="id", **options):
    """Of each row the record's text; a tuple of column and reason, or of the reason alone, if it has none."""
    fates = []
    for item in items:
        if isinstance(item, Unread):
            fates.append((item.reason,))
            continue
        item.validate()
        encoded = Encoder(item.schema, key, **options).encode(item)
        encoded.records.validate(full=True)
        found = dict(zip(encoded.positions.tolist(), encoded.records.to_pylist(), strict=True))
        found |= {one.position: (one.column, one.reason) for one in encoded.unfit}
        assert sorted(found) == list(range(item.num_rows))
        fates += [found[position] for position in range(item.num_rows)]
    return fates


def cells(items, attributes=()):
    """Of each row its cells by name; the reason if it has none."""
    refused = {}
    written = CsvText(attributes, lambda row, reason, _: refused.update({row: reason}))
    text = b"".join(written.chunks(items)).decode()
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [refused.get(row) or next(rows) for row in range(1, written.rows + 1)]


def parsed(record):
    """A record with every digit of its numbers."""
    return json.loads(record, parse_int=Decimal, parse_float=Decimal, parse_constant=lambda name: 1 / 0)


def batches(table):
    """An Arrow table as a source gives it."""
    return [pa.RecordBatch.from_pylist([], table.schema), *table.to_batches()]
