"""A load says of its ids what `validate` says of the same ids in a file: one rule book."""

import io
import json

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.loads.spool.freeze import freeze, open_spool
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.key import Key
from optimove_provider.records.observe.defaults import observers_for
from optimove_provider.records.to_json.encode import Encoder
from optimove_provider.records.validate.validate import Options, check_csv

IDS = [
    "ann",
    "Ann",
    "ann ",
    "ann\u200b",
    "NULL",
    "1e5",
    "\\\\N",
    "b\u00a0",
    "Zoe\u0308",
    "Zo\u00eb",
    "\ufeffc",
    "d\x07",
]
EMPTY = ["", " ", "\u200b", "\ufeff", "\u00ad\u200e", "\x07"]


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def encoder(schema):
    return Encoder(schema, "id")


def validated(ids):
    """What `validate --primary-key id` says of the ids."""
    key = Key.of_optix("id")
    text = "id\n" + "".join(f'"{one}"\n' for one in ids)
    options = Options(key=key, observers=lambda names, attributes: observers_for(names, attributes, pii=False, key=key))
    return check_csv(io.BytesIO(text.encode()), None, options)


@pytest.mark.parametrize("type_", [pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.json_()], ids=str)
def test_uploads_and_validate_say_the_same(staging, type_):
    texts = [json.dumps(one) for one in IDS] if isinstance(type_, pa.JsonType) else IDS
    column = pa.array(texts).cast(pa.string())
    column = pa.ExtensionArray.from_storage(type_, column) if isinstance(type_, pa.JsonType) else column.cast(type_)
    told, expected = Findings(), validated(IDS)
    rows = iter([pa.record_batch({"id": column.slice(0, 5)}), pa.record_batch({"id": column.slice(5)})])
    freeze(rows, staging, "load/spool", "load/aside", encoder, "id", findings=told)
    ours = [(one.row, one.rule, one.value, one.message, one.severity) for one in told.findings]
    theirs = [(one.row, one.rule, one.value, one.message, one.severity) for one in expected.findings]
    assert ours == theirs
    assert (told.counts, told.errors, expected.errors) == (expected.counts, 0, 0)
    assert {"id-padding", "id-unseen", "id-null", "id-case", "id-lookalike", "id-exponent"} <= told.counts.keys()


def test_an_id_in_which_nothing_can_be_seen_is_empty_for_both(staging):
    spool = freeze(iter([pa.record_batch({"id": EMPTY})]), staging, "load/spool", "load/aside", encoder, "id")
    expected = validated(EMPTY)
    assert (spool.fit, spool.rejected) == (0, len(EMPTY))
    assert (expected.valid_rows, expected.counts) == (0, {"key": len(EMPTY)})


def test_numbers_as_keys_are_not_watched(staging):
    told = Findings()
    freeze(
        iter([pa.record_batch({"id": [1, 2, 300_000]})]),
        staging,
        "load/spool",
        "load/aside",
        encoder,
        "id",
        findings=told,
    )
    assert told.total == 0


def test_a_key_that_is_there_twice_is_an_error_in_both():
    (error,) = validated(["a", "b", "a"]).findings
    assert (error.row, error.rule, error.severity) == (3, "id-duplicate", "error")
    assert error.message == "the same id as in row 1: an upload refuses the whole load"


def test_the_warnings_are_in_log_report_and_counts_and_a_retry_remembers_them(staging, caplog):
    journal = Journal(staging, "load-1")

    class Rows:
        def __enter__(self):
            return iter([pa.record_batch({"id": ["a", "a ", "NULL"]})])

        def __exit__(self, *_):
            pass

    spool = open_spool(journal, Rows, encoder, "id")
    assert spool.warnings == {"id-padding": 1, "id-null": 1, "id-lookalike": 1}
    assert "id-padding 1 (row 2, column 'id', rule id-padding (warning): value 'a '" in spool.warning_note
    assert "rule id-null (warning)" in caplog.text
    written = staging.read("reports/load-1-findings.json")
    assert (written["rows"], written["valid_rows"], written["counts"]) == (3, 3, spool.warnings)
    assert type(spool).from_json(json.loads(json.dumps(spool.as_json()))) == spool
