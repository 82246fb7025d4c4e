"""The plain way to check a CSV file: every record read by itself, every cell asked about. Slow, and easy to believe."""

from collections.abc import Sequence
from io import BytesIO

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import RecordReader
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding, Findings
from optimove_provider.records.validate.header import HeaderSchema
from optimove_provider.records.validate.validate import Options


def check_rowwise(raw: bytes, attributes: Sequence[Attribute], options: Options) -> Findings:
    report = Findings(options.file, max_findings=options.max_findings)
    records = RecordReader(LookaheadStream(BytesIO(raw)), options.delimiter)
    table = None
    for record in records:
        if not record.cells and not record.broken:
            message = "a blank line: skipped" if table else "a blank line before the header"
            severity = WARNING if table else ERROR
            report.add(Finding(0, record.line, record.byte, "", "blank-line", "", message, severity))
        elif table is None:
            table = HeaderSchema(record, attributes, options.strict)
            records.width = table.width
            report.add_all(table.header_findings())
        else:
            report.add_row(table.row_findings(record, report.rows + 1))
    report.bytes = records.byte
    return report
