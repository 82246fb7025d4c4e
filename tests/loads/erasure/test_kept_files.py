"""What staging keeps of loads for people, without one key; on a disk and on S3."""

import json

from optimove_provider.loads.erasure.forgotten_key import ForgottenKey
from optimove_provider.loads.erasure.kept_files import forget_in_files, forget_in_samples
from optimove_provider.loads.report.report import Report
from optimove_provider.records.rejected_lines import rejected_line

LOAD, OTHER = (f"6f0f5d3a-0000-4000-8000-00000000000{number}" for number in (1, 2))
KEY = ForgottenKey("C-1")


def put(staging, path, text):
    with staging.open_new(path) as file:
        file.write(text.encode())


def text(staging, path):
    with staging.open(path) as file:
        return file.read().decode()


def filed(staging):
    """A load of which two rows were rejected, one of them of the key."""
    report = Report(LOAD, {"optix": "u", "host": "h"}, state="failed", rows=2, rejected=2)
    report.reasons = {"'Ada' is too long": 1, "odd": 1}
    report.examples = ["row 1: 'Ada' is too long", "row 2: odd"]
    report.problem = "2 of 2 rows were rejected: row 1: 'Ada' is too long; row 2: odd"
    report.plan = {"digest": "d", "samples": [{"kind": "new", "key": "C-1", "columns": {"name": [None, "Ada"]}}]}
    report.file(staging)
    lines = [rejected_line(1, "'Ada' is too long", 400, '{"id":"C-1","name":"Ada"}')]
    lines += [rejected_line(2, "odd", 400, '{"id":"C-10","name":"Bo"}')]
    put(staging, f"reports/{LOAD}.rejected.jsonl", b"".join(lines).decode())


def forget(staging, change=True):
    return list(forget_in_files(staging, KEY, lambda load: load != OTHER, lambda load: "id", {}, change))


def test_report_page_and_rejected_rows_have_it_no_more(any_staging):
    filed(any_staging)
    before = text(any_staging, f"reports/{LOAD}.html")
    assert "Ada" in before
    assert len(forget(any_staging, change=False)) == 2
    assert text(any_staging, f"reports/{LOAD}.html") == before
    told = forget(any_staging)
    assert told == [f"reports/{LOAD}.rejected.jsonl, 1 of its lines", f"reports/{LOAD}.json"]
    for name in any_staging.names("reports"):
        assert "Ada" not in text(any_staging, f"reports/{name}")
        assert "C-1" not in text(any_staging, f"reports/{name}").replace("C-10", "")
    assert [json.loads(line)["row"] for line in text(any_staging, f"reports/{LOAD}.rejected.jsonl").splitlines()] == [2]
    found = any_staging.read(f"reports/{LOAD}.json")
    assert (found["rows"], found["rejected"], found["reasons"]) == (2, 2, {"(forgotten)": 1, "odd": 1})
    assert found["examples"] == ["row 2: odd"]
    assert forget(any_staging) == []


def test_rows_of_an_import_go_by_their_customer(staging_on_disk):
    rows = 'refused_row,refused_line,refused_because,customerId,name\n1,2,"odd, so",C-1,"Ada, A"\n2,3,odd,C-2,C-1\n'
    put(staging_on_disk, f"reports/{LOAD}.rejected.csv", rows)
    put(staging_on_disk, f"reports/{OTHER}.dropped.csv", rows)
    assert forget(staging_on_disk) == [f"reports/{LOAD}.rejected.csv, 1 of its rows"]
    kept = "refused_row,refused_line,refused_because,customerId,name\n2,3,odd,C-2,C-1\n"
    assert text(staging_on_disk, f"reports/{LOAD}.rejected.csv") == kept
    assert text(staging_on_disk, f"reports/{OTHER}.dropped.csv") == rows


def test_lines_that_could_not_be_read_go_where_the_key_stands_in_them(staging_on_disk):
    lines = [
        '{"row":1,"reason":"cut","status":null,"text":"C-1,Ada"}',
        '{"row":2,"reason":"cut","text":"C-10"}',
        "C-1 {",
    ]
    put(staging_on_disk, f"reports/{LOAD}.rejected.jsonl", "\n".join(lines) + "\n")
    assert forget(staging_on_disk) == [f"reports/{LOAD}.rejected.jsonl, 2 of its lines"]
    assert text(staging_on_disk, f"reports/{LOAD}.rejected.jsonl") == lines[1] + "\n"


def test_findings_and_samples(staging_on_disk):
    found = {"findings": [{"row": 1, "value": "C-1", "message": "twice, in rows 1 and 9"}, {"row": 2, "value": "x"}]}
    staging_on_disk.write(f"reports/{LOAD}-findings.json", found)
    staging_on_disk.write("samples/a.json", {"before": {"C-1": {"n": 1}}})
    staging_on_disk.write("samples/b.json", {"before": {"C-2": {"n": 1}}})
    assert forget(staging_on_disk) == [f"reports/{LOAD}-findings.json"]
    assert "C-1" not in text(staging_on_disk, f"reports/{LOAD}-findings.json")
    assert len(list(forget_in_samples(staging_on_disk, KEY))) == 1
    assert staging_on_disk.names("samples") == ["b.json"]
