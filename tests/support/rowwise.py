"""The plain way to check a CSV file: every record read by itself, every cell asked about. Slow, and easy to believe."""

from collections.abc import Sequence
from io import BytesIO

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.records.csv_syntax.certainty import Certainty
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding, Findings
from optimove_provider.records.validate.header import HeaderSchema
from optimove_provider.records.validate.validate import Options
from tests.support.rows.plain_reader import RecordReader


def check_rowwise(raw: bytes, attributes: Sequence[Attribute], options: Options) -> Findings:
    findings = Findings(options.file, max_findings=options.max_findings)
    records = RecordReader(LookaheadStream(BytesIO(raw)), options.delimiter)
    schema, certainty, is_wrong = None, Certainty(options.delimiter), False
    for record in records:
        if record.is_blank:
            message = "a blank line: skipped" if schema else "a blank line before the header"
            severity = WARNING if schema else ERROR
            findings.add(Finding(0, record.line, record.byte, "", "blank-line", "", message, severity))
        elif schema is None:
            schema = HeaderSchema(record, attributes, options.strict, key=options.key, delimiter=options.delimiter)
            records.width = schema.width
            findings.add_all(schema.header_findings())
            is_wrong = findings.errors > 0
        else:
            certainty.take(record)
            findings.add_row(schema.row_findings(record, findings.rows + 1))
    findings.bytes = records.byte
    findings.valid_rows = 0 if is_wrong else findings.valid_rows
    return findings
