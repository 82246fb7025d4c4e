"""Watches see every cell of their column, once and with its place, whatever the blocks are and wherever text is odd."""

import io

import pytest

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.records.findings.findings import WARNING, Finding
from optimove_provider.records.validate.validate import Options, check_csv

TEXT = b'customerId,name\r\n1,"a\nb"\r\n2,x"y\r\n3\n\n4,"d"\n5,\xff\n6,f'


class Remember:
    column = 1

    def __init__(self):
        self.seen = []

    def see(self, places, cells):
        self.seen += zip(
            places.rows.tolist(), places.lines.tolist(), places.bytes.tolist(), cells.to_pylist(), strict=True
        )

    def counts(self):
        yield "seen", len(self.seen)

    def findings(self):
        return (Finding(*seen[:3], "name", "seen", "", "seen", WARNING) for seen in self.seen)

    def cost(self):
        return "it cost nothing"

    def close(self):
        self.closed = True


@pytest.mark.parametrize("block_bytes", [1, 10, 4096])
def test_every_cell_with_its_place(block_bytes):
    observer = Remember()
    options = Options(observers=lambda names, attributes: [observer], block_bytes=block_bytes, max_findings=5)
    report = check_csv(io.BytesIO(TEXT), [Attribute("name", "string")], options)
    assert [(row, line, TEXT[byte : byte + 1], cell) for row, line, byte, cell in observer.seen] == [
        (1, 2, b"1", b"a\nb"),
        (4, 7, b"4", b"d"),
        (5, 8, b"5", b"\xff"),
        (6, 9, b"6", b"f"),
    ]
    assert report.counts["seen"] == 4
    assert observer.closed
    assert report.describe().endswith("it cost nothing")
    assert (len(report.findings), report.truncated, report.errors) == (5, True, 3)
