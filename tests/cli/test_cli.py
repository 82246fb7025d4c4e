"""The commands: exit codes and streams of a real process, everything else in this one."""

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from optimove_provider.cli import COMMANDS, main
from optimove_provider.cli.files import _size

ATTRIBUTES = [
    {"name": "day", "datatype": "datetime", "format": "yyyy-mm-dd"},
    {"name": "vip", "datatype": "bool", "format": None},
    {"name": "old", "datatype": "long", "format": None, "archived": True},
]
GOOD = b"customerId,day,vip\n1,2024-01-31,true\n2,,false\n"
BAD = GOOD + b"3,2024-02-30,true\n"
DISPUTED = GOOD + b"3,2024-02-28,True\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("attributes.json").write_text(json.dumps(ATTRIBUTES))
    for name, content in (("good", GOOD), ("bad", BAD), ("disputed", DISPUTED)):
        Path(f"{name}.csv").write_bytes(content)
    return tmp_path


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "optimove_provider", *arguments], input=stdin, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (["good.csv"], b"", 0),
        (["bad.csv"], b"", 1),
        (["disputed.csv"], b"", 0),
        (["disputed.csv", "--strict"], b"", 1),
        (["-"], GOOD, 0),
        (["-"], BAD, 1),
        (["-"], b"", 1),
        (["missing.csv"], b"", 2),
        (["good.csv", "--format", "pdf"], b"", 2),
    ],
)
def test_the_exit_code_says_what_was_found(folder, arguments, stdin, code):
    done = run("validate", *arguments, "--attributes", "attributes.json", stdin=stdin)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert (not done.stdout) == (code == 2)


def test_json_on_stdout_is_the_report_and_nothing_else(folder, capfd):
    assert main(["validate", "bad.csv", "--attributes", "attributes.json", "--format", "json"]) == 1
    shown = capfd.readouterr()
    read = json.loads(shown.out)
    assert (read["file"], read["rows"], read["valid_rows"], read["counts"]) == ("bad.csv", 3, 2, {"date": 1})
    assert read["findings"][0] == {
        "row": 3,
        "line": 4,
        "byte": len(GOOD),
        "column": "day",
        "rule": "date",
        "value": "2024-02-30",
        "message": "expected a day of the calendar written yyyy-mm-dd, such as 2022-05-02",
        "severity": "error",
    }
    assert not shown.err


def test_packed_and_tabbed_files_are_read_by_their_names(folder, capfd):
    Path("bad.tsv.gz").write_bytes(gzip.compress(BAD.replace(b",", b"\t")))
    assert main(["validate", "bad.tsv.gz", "--attributes", "attributes.json", "--format", "csv"]) == 1
    assert capfd.readouterr().out.splitlines()[1].startswith(f"3,4,{len(GOOD)},day,date,2024-02-30,")


def test_findings_are_capped_and_all_counted(folder, capfd):
    Path("bad.csv").write_bytes(GOOD + b"3,x,true\n" * 30)
    options = ["--format", "json", "--max-findings", "4"]
    assert main(["validate", "bad.csv", "--attributes", "attributes.json", *options]) == 1
    read = json.loads(capfd.readouterr().out)
    assert (len(read["findings"]), read["counts"], read["truncated"]) == (4, {"date": 30, "id-duplicate": 29}, True)


def test_ids_are_not_compared_if_nobody_wants_it(folder, capfd):
    Path("bad.csv").write_bytes(GOOD + b"3,x,true\n" * 30)
    options = ["--format", "json", "--no-identifiers"]
    assert main(["validate", "bad.csv", "--attributes", "attributes.json", *options]) == 1
    assert json.loads(capfd.readouterr().out)["counts"] == {"date": 30}


@pytest.mark.parametrize(
    ("column", "datatype", "cells", "rule"),
    [
        ("contact", "string", [f"a{n}@example.com" for n in range(20)], "pii-email"),
        ("phone_number", "long", ["5"], "pii-phone"),
    ],
)
def test_personal_data_is_warned_of_by_name_and_by_value_unless_it_is_allowed(
    folder, capfd, column, datatype, cells, rule
):
    rows = "".join(f"{n},{cell}\n" for n, cell in enumerate(cells))
    Path("people.csv").write_text(f"customerId,{column}\n{rows}")
    Path("attributes.json").write_text(json.dumps([{"name": column, "datatype": datatype}]))
    for allowed, counts in ([], {rule: 1}), (["--allow-pii", column], {}):
        assert main(["validate", "people.csv", "--attributes", "attributes.json", "--format", "json", *allowed]) == 0
        assert json.loads(capfd.readouterr().out)["counts"] == counts


def test_the_rules_of_opti_x(folder, capfd):
    Path("any.csv").write_bytes(b"id,anything\n1,x\n,y\n1,z\n")
    assert main(["validate", "any.csv", "--primary-key", "id", "--format", "json"]) == 1
    assert json.loads(capfd.readouterr().out)["counts"] == {"key": 1, "id-duplicate": 1}


def test_output_takes_the_report(folder, capfd):
    assert (
        main(["validate", "bad.csv", "--attributes", "attributes.json", "--format", "html", "--output", "r.html"]) == 1
    )
    shown = capfd.readouterr()
    assert not shown.out
    assert shown.err == "bad.csv: 3 rows, 2 valid, 1 error, 0 warnings\nAll findings: r.html\n"
    assert Path("r.html").read_text().startswith("<!doctype html>")


def test_split_writes_two_files_byte_for_byte(folder, capfd):
    Path("bad.csv").write_bytes(BAD + b'4,2024-01-01,"true"\r\n')
    arguments = ["validate", "bad.csv", "--attributes", "attributes.json", "--split", "valid.csv", "refused.csv"]
    assert main(arguments) == 1
    assert Path("valid.csv").read_bytes() == GOOD + b'4,2024-01-01,"true"\r\n'
    refused = Path("refused.csv").read_bytes().splitlines()
    assert refused[0] == b"refused_row,refused_line,refused_because,customerId,day,vip"
    assert refused[1].startswith(b'3,4,"day: expected a day')
    assert refused[1].endswith(b",3,2024-02-30,true")


def test_split_leaves_no_half_files(folder, capfd):
    Path("valid.csv").write_text("from the last time")
    Path("cut.csv.gz").write_bytes(gzip.compress(BAD * 1000)[:-8])
    arguments = ["validate", "cut.csv.gz", "--attributes", "attributes.json", "--split", "valid.csv", "refused.csv"]
    assert main(arguments) == 2
    assert "'cut.csv.gz' is cut off" in capfd.readouterr().err
    assert Path("valid.csv").read_text() == "from the last time"
    assert not [name for name in os.listdir() if name.startswith("refused") or name.endswith(".part")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.csv", "--attributes", "attributes.json"], ["'missing.csv' cannot be read", "give the path"]),
        ([".", "--attributes", "attributes.json"], ["'.' cannot be read: Is a directory"]),
        (["good.csv"], ["give either --attributes FILE or --table ID", "`infer`"]),
        (["good.csv", "--attributes", "a", "--table", "1"], ["give either --attributes FILE or --table ID"]),
        (["good.csv", "--attributes", "missing.json"], ["'missing.json' cannot be read"]),
        (["good.csv", "--attributes", "good.csv"], ["attributes file 'good.csv' is no JSON", "`infer`"]),
        (["good.csv", "--attributes", "wrong.json"], ["attributes file 'wrong.json'", "'day'", "'dat' is unknown"]),
        (["good.csv", "--attributes", "attributes.json", "--output", "nowhere/r"], ["nowhere/r' cannot be written"]),
        (["good.csv", "--attributes", "attributes.json", "--output", "./good.csv"], ["good.csv' is named twice"]),
        (["good.csv", "--attributes", "attributes.json", "--output", "attributes.json"], ["is named twice"]),
        (["good.csv", "--attributes", "attributes.json", "--split", "a", "a"], ["a' is named twice"]),
    ],
)
def test_what_cannot_be_done_is_said_with_the_file_and_the_next_step(folder, capfd, arguments, said):
    Path("wrong.json").write_text(json.dumps([{"name": "day", "datatype": "dat"}]))
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    assert main(["validate", *arguments]) == 2
    shown = capfd.readouterr()
    for part in said:
        assert part in shown.err
    assert shown.err.startswith("validate: ")
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "²"])
def test_a_number_that_is_none_is_refused(folder, capfd, number):
    with pytest.raises(SystemExit) as stopped:
        main(["validate", "good.csv", "--attributes", "attributes.json", "--max-findings", number])
    assert stopped.value.code == 2
    assert "a whole number from 0 on is expected" in capfd.readouterr().err


def test_infer_prints_a_file_that_validate_takes(folder, capfd):
    assert main(["infer", "good.csv"]) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out) == [
        {"name": "day", "datatype": "datetime", "format": "yyyy-mm-dd"},
        {"name": "vip", "datatype": "bool", "format": None},
    ]
    assert shown.err.splitlines() == [
        "'day': datetime yyyy-mm-dd: fits its only value",
        "'vip': bool: fits all of its 2 values",
    ]
    Path("guessed.json").write_text(shown.out)
    assert main(["validate", "good.csv", "--attributes", "guessed.json"]) == 0


def test_infer_of_some_rows_only(folder, capfd):
    assert main(["infer", "bad.csv", "--rows", "2"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["datatype"] == "datetime"
    assert main(["infer", "bad.csv"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["datatype"] == "string"
    Path("keys.csv").write_text("customerId\n1\n")
    assert main(["infer", "keys.csv"]) == 0
    assert json.loads(capfd.readouterr().out) == []


def test_template_prints_the_header_of_what_is_not_archived(folder, capfd):
    Path("attributes.json").write_text(json.dumps([*ATTRIBUTES, {"name": 'a,"b', "datatype": "string"}]))
    assert main(["template", "--attributes", "attributes.json"]) == 0
    assert capfd.readouterr().out == 'customerId,day,vip,"a,""b"\n'


def test_a_table_gives_its_attributes_through_airflow(folder, emulator, capfd):
    from optimove_provider.contract.cells.datatypes import Attribute
    from optimove_provider.hooks.dcp import DcpHook

    with DcpHook().get_conn() as client:
        service = client.ensure_service("cli").id
        table = client.ensure_table(service, "cli", "uid").id
        client.ensure_attributes(table, [Attribute.from_json(one) for one in ATTRIBUTES[:2]])
    assert main(["template", "--table", str(table)]) == 0
    assert capfd.readouterr().out == "customerId,day,vip\n"
    assert main(["validate", "bad.csv", "--table", str(table)]) == 1
    assert main(["validate", f"file://{folder}/good.csv", "--table", str(table)]) == 0


def test_a_table_that_cannot_be_read_is_said(folder, emulator, capfd):
    assert main(["template", "--table", "1", "--dcp-conn-id", "nowhere"]) == 2
    said = capfd.readouterr().err
    assert "the attributes of table 1 cannot be read" in said
    assert "look at the Airflow connection 'nowhere', or give --attributes FILE" in said


def test_a_url_that_leads_nowhere_is_said(folder, capfd):
    assert main(["validate", f"file://{folder}/missing.csv", "--attributes", "attributes.json"]) == 2
    assert "missing.csv' is not there" in capfd.readouterr().err
    assert main(["infer", "nowhere://a/b.csv"]) == 2
    assert "'nowhere://a/b.csv' cannot be read" in capfd.readouterr().err


def test_who_stops_reading_gets_no_complaint(folder):
    Path("bad.csv").write_bytes(GOOD + b"3,x,true\n" * 100_000)
    arguments = [
        "validate",
        "bad.csv",
        "--attributes",
        "attributes.json",
        "--format",
        "csv",
        "--max-findings",
        "100000",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "optimove_provider", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline().startswith(b"row,")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode not in (0, 1)


def test_output_is_utf8_in_any_locale(folder):
    Path("attributes.json").write_text(json.dumps([{"name": "day", "datatype": "datetime", "format": "yyyy-mm-dd"}]))
    done = subprocess.run(
        [sys.executable, "-m", "optimove_provider", "validate", "-", "--attributes", "attributes.json"],
        input="customerId,day\n1,é\n".encode(),
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert "é" in done.stdout.decode()


def test_a_terminal_sees_a_bar_and_colours(folder):
    import pty

    pid, terminal = pty.fork()
    if not pid:
        os.environ.update(TERM="xterm-256color", COLUMNS="100")
        arguments = ["-m", "optimove_provider", "validate", "bad.csv", "--attributes", "attributes.json"]
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606
    seen = b""
    try:
        while read := os.read(terminal, 4096):
            seen += read
    except OSError:
        pass  # the way a terminal says that its other end is closed
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert b"3 rows" in seen.partition(b"not valid")[0]
    assert b"3 of 3 ids compared" in seen.partition(b"not valid")[0]
    assert b"\x1b[31merror" in seen


def test_the_size_of_a_file_is_known_and_that_of_a_pipe_is_not(folder):
    with Path("good.csv").open("rb") as file:
        assert _size(file) == len(GOOD)
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe, open(writing, "wb"):
        assert _size(pipe) is None
    assert _size(io.BytesIO(b"abc")) is None


def test_importing_the_commands_stays_light():
    code = "import sys, optimove_provider.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint({"airflow", "numpy", "pyarrow", "requests", "rich"})


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself(command, capfd):
    with pytest.raises(SystemExit) as stopped:
        main([*command.name.split(), "--help"])
    assert stopped.value.code == 0
    shown = capfd.readouterr().out
    for option in command.options:
        assert option.settings["help"].split()[0] in shown


@pytest.mark.parametrize("name", ["in.csv.part", "valid.csv.part"])
def test_a_split_leaves_its_input_and_other_files_alone(folder, capfd, name):
    Path(name).write_bytes(BAD)
    arguments = ["validate", name, "--attributes", "attributes.json", "--split", "in.csv", "valid.csv"]
    assert main(arguments) == 1, capfd.readouterr().err
    assert Path(name).read_bytes() == BAD
    assert Path("in.csv").read_bytes() == GOOD


@pytest.mark.parametrize(
    ("raw", "options", "counts"),
    [
        (b"customerId;day\n1;2024-01-31\n", [], {"separator": 1}),
        (b"customerId;day\n1;2024-01-31\n", ["--delimiter", ";"], {"converted": 1}),
        (b"customerId\tday\n1\t2024-01-31\n", ["--delimiter", "tab"], {}),
        (
            "customerId|day\n1|2024-01-31\n".encode("utf-16"),
            ["--delimiter", "|", "--encoding", "utf-16"],
            {"converted": 1},
        ),
        ("customerId,day\nZo\xeb,\n".encode("cp1252"), ["--encoding", "cp1252"], {"converted": 1}),
        (b"customerId,day\n1,2024-01-31\n", ["--encoding", "UTF8"], {}),
    ],
)
def test_another_separator_or_encoding_is_named_and_read(folder, capfd, raw, options, counts):
    Path("other.csv").write_bytes(raw)
    code = main(["validate", "other.csv", "--attributes", "attributes.json", "--format", "json", *options])
    read = json.loads(capfd.readouterr().out)
    assert (code, read["counts"]) == (1 if "separator" in counts else 0, counts)
    assert read["valid_rows"] == 1 - code


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--encoding", "ansi-ish"], "encoding 'ansi-ish': the name of a text encoding is expected"),
        (["--encoding", "base64"], "encoding 'base64': the name of a text encoding is expected"),
        (["--encoding", "utf-16-le"], "is not utf-16-le: what cannot be read is near the offset"),
        (["--delimiter", ";;"], "delimiter ';;': one character"),
        (["--delimiter", '"'], "one character such as"),
    ],
)
def test_a_separator_or_encoding_that_can_be_none_is_refused(folder, capfd, options, says):
    Path("odd.csv").write_bytes(b"customerId,day\n\xd8\xd8\xd8\xd8\xd8")
    assert main(["validate", "odd.csv", "--attributes", "attributes.json", *options]) == 2
    assert says in capfd.readouterr().err


def test_infer_reads_another_separator_too(folder, capfd):
    Path("other.csv").write_bytes("customerId;day\n1;2024-01-31\n".encode("utf-16"))
    assert main(["infer", "other.csv", "--delimiter", ";", "--encoding", "utf-16"]) == 0
    assert json.loads(capfd.readouterr().out) == [{"name": "day", "datatype": "datetime", "format": "yyyy-mm-dd"}]


def test_a_key_of_one_space_and_one_that_is_there_twice_are_errors_for_opti_x(folder, capfd):
    Path("any.csv").write_bytes("id,x\n1,a\n ,b\n\u200b,c\n1,NULL\n".encode())
    assert main(["validate", "any.csv", "--primary-key", "id", "--format", "json"]) == 1
    read = json.loads(capfd.readouterr().out)
    assert read["counts"] == {"key": 2, "null-marker": 1, "id-duplicate": 1}
    assert {one["rule"] for one in read["findings"] if one["severity"] == "error"} == {"key", "id-duplicate"}


def test_a_split_leaves_the_file_alone_that_stdin_is_read_from(folder):
    arguments = ["validate", "-", "--attributes", "attributes.json", "--split", "bad.csv", "refused.csv"]
    with open("bad.csv", "rb") as stdin:
        done = subprocess.run([sys.executable, "-m", "optimove_provider", *arguments], stdin=stdin, capture_output=True)
    assert (done.returncode, Path("bad.csv").read_bytes()) == (2, BAD), done.stderr
    assert b"another name of the same file" in done.stderr


def test_any_number_of_findings_may_be_asked_for(folder, capfd):
    arguments = ["validate", "bad.csv", "--attributes", "attributes.json", "--max-findings", "9" * 30]
    assert main(arguments) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_attributes_beside_a_key_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("any.csv").write_text("id,age\n1,2\n")
    Path("a.json").write_text("[]")
    assert main(["validate", "any.csv", "--primary-key", "id", "--attributes", "a.json"]) == 2
    assert "--attributes is about a table of DCP, --primary-key about a data connection" in capsys.readouterr().err
    assert main(["validate", "any.csv", "--primary-key", "id", "--table", "7"]) == 2
    assert "--table is about a table of DCP" in capsys.readouterr().err


def test_a_key_twice_is_an_error_for_opti_x(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("twice.csv").write_text("id,age\n1,2\n2,3\n1,4\n")
    assert main(["validate", "twice.csv", "--primary-key", "id"]) == 1
    assert "1 error" in capfd.readouterr().out
