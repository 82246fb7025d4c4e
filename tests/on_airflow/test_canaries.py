"""Secrets as canaries: every operator, sensor and trigger, in success and in each failure, and then a search.

What is searched is all that Airflow keeps of a task: result, exceptions with all that hangs on to them, log, output,
rendered fields, what is deferred, events; and every file of staging, the reports among them.
"""

import asyncio
import base64
import html
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.sdk.log import redact

from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.operators import (
    csv,
    dcp,
    dcp_import,
    dcp_sharded,
    dcp_subject_access,
    optix,
    optix_expire,
    sharded,
    source_parts,
)
from optimove_provider.sensors.dcp import DcpProfileSensor, DcpUploadSensor
from optimove_provider.triggers.dcp import DcpUploadTrigger
from tests.conftest import HOME
from tests.support.operators import OPERATORS
from tests.support.running import context, run

pytestmark = pytest.mark.any_version

ENCODERS = [str, lambda one: quote(one, safe=""), lambda one: json.dumps(one)[1:-1], html.escape]
ENCODERS += [
    lambda one: base64.b64encode(one.encode()).decode(),
    lambda one: base64.b64encode(f"u:{one}".encode()).decode(),
]
HISTORY, IN_URL, PROXY, REST = 'history/"canary<&', "url+canary/7", "proxy:canary@1", 'rest/"canary<&'
ROWS = [{"customerId": "1", "age": "30"}, {"customerId": "2", "age": "31"}]


class Echo(BaseHTTPRequestHandler):
    """An S3 that refuses, and says all that it knows."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = (
            f"<Error><Code>{self.server.code}</Code><Message>{html.escape(self.server.said)}</Message></Error>".encode()
        )
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET = do_DELETE = do_POST

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def talkative_s3(change_connection):
    """A function that has S3 refuse everything with a code, and say so much."""
    server = HTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()

    def refuse(status, code, said, history_url):
        server.status, server.code, server.said = status, code, said
        extra = {"s3_endpoint_url": f"http://127.0.0.1:{server.server_port}"}
        change_connection("dcp_default", extra={**extra, "upload_history_url": history_url})

    yield refuse
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def work(emulator, change_connection, monkeypatch):
    """Every operator and sensor, by name, ready to run; and the canaries."""
    url = f"{emulator.url}/_emulator/uploads/{{table_id}}?key={quote(IN_URL, safe='')}"
    change_connection(
        "dcp_default", extra={"upload_history_url": url, "upload_history_token": HISTORY, "rest_token": REST}
    )
    monkeypatch.setenv("ftp_proxy", f"http://user:{quote(PROXY, safe='')}@127.0.0.1:1")
    service = run(dcp.DcpCreateServiceOperator(task_id="a", name="Shop"))
    table = run(dcp.DcpCreateTableOperator(task_id="a", service_id=service, name="T", keyfield_locator_type="uid"))
    run(dcp.DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes={"age": "long"}))
    connection = run(optix.OptixCreateConnectionOperator(task_id="a", name="C", primary_key="customerId"))
    done = run(dcp_import.DcpS3ImportOperator(task_id="a", table_id=table, source=ROWS))
    emulator.state.switches = Switches(import_after_polls=2)
    project = next(iter(emulator.state.projects))
    with DcpHook().get_conn() as client:
        known = client.read_table(table)
    file = HOME / "canaries.csv"
    file.write_text("customerId,age\n1,30\n")
    to_optix = {"data_connection_uuid": connection, "primary_key": "customerId", "source": ROWS}
    to_table, alias = {"table_id": table}, [{"table_id": table, "customer_id": "1"}]
    arguments = {
        optix.OptixCreateConnectionOperator: {"name": "D", "primary_key": "id"},
        optix.OptixUploadOperator: to_optix,
        optix.OptixUpdateOperator: to_optix,
        optix_expire.OptixExpireOperator: {k: v for k, v in to_optix.items() if k != "source"} | {"keys": ["1"]},
        dcp_subject_access.DcpSubjectAccessOperator: {"customer_ids": ["1"]},
        dcp.DcpCreateServiceOperator: {"name": "Shop"},
        dcp.DcpCreateTableOperator: {"service_id": service, "name": "U", "keyfield_locator_type": "uid"},
        dcp.DcpRegisterAttributesOperator: {**to_table, "attributes": {"vip": "bool"}},
        dcp.DcpLinkProjectOperator: {"project_id": project, "service_id": service, "replace": True},
        dcp.DcpArchiveAttributesOperator: {**to_table, "names": ["vip"]},
        dcp.DcpWriteProfilesOperator: {**to_table, "profiles": [{"customerId": "1", "age": 30}]},
        dcp.DcpCreateAliasesOperator: {
            "service_id": service,
            "aliases": [{"optimizely_user_id": "u", "aliases": alias}],
        },
        dcp_import.DcpS3ImportOperator: {**to_table, "source": ROWS, "wait": True, "deferrable": True},
        csv.ValidateCsvOperator: {**to_table, "source": str(file)},
        DcpUploadSensor: {**to_table, "s3_key": done, "deferrable": True, "poke_interval": 0.01, "max_failed_polls": 0},
        DcpProfileSensor: {
            **to_table,
            "customer_ids": ["1"],
            "timeout": 0,
            "poke_interval": 0.01,
            "max_failed_polls": 0,
        },
    }
    arguments |= in_shards(service)
    assert set(OPERATORS) == set(arguments)
    canaries = [API_KEY, BRAND_KEY, TOKEN, HISTORY, IN_URL, PROXY, known.aws_access_key, known.aws_secret_key, REST]
    return arguments, canaries, url


def in_shards(service):
    """The operators of loads in shards, each with a load of its own that has come so far."""
    file = HOME / "shards.csv"
    file.write_text("customerId,age\n" + "".join(f"{row},{row % 99}\n" for row in range(12_000)))

    def to_optix(name):
        connection = run(optix.OptixCreateConnectionOperator(task_id="a", name=name, primary_key="customerId"))
        return {"data_connection_uuid": connection, "primary_key": "customerId"}

    def to_table(name):
        table = run(dcp.DcpCreateTableOperator(task_id="a", service_id=service, name=name, keyfield_locator_type="uid"))
        run(dcp.DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes={"age": "long"}))
        return {"table_id": table, "source": str(file)}

    def told(kind, key="load", **arguments):
        plan = kind(task_id="a", **arguments)
        told = context(plan)
        return plan.execute(told), told["ti"].pushed[key]

    sent, committed, given_up = map(to_optix, ("sent", "committed", "given up"))
    listed, read = map(to_optix, ("listed", "read"))
    uploaded, completed, aborted = map(to_table, ("uploaded", "completed", "aborted"))
    source = {"source": str(file)}
    (shard, *_), _ = told(sharded.OptixPlanOperator, **sent, **source)
    (files, *_), _ = told(dcp_sharded.DcpPlanFilesOperator, **uploaded)
    (part, *_), _ = told(source_parts.OptixListPartsOperator, "parts", **listed, **source)
    (read_part, *_), _ = told(source_parts.OptixListPartsOperator, "parts", **read, **source)
    run(source_parts.OptixReadPartOperator(task_id="a", part=read_part))
    plans = [told(sharded.OptixPlanOperator, **to, **source)[1] for to in (committed, given_up)]
    files_plans = [told(dcp_sharded.DcpPlanFilesOperator, **to)[1] for to in (completed, aborted)]
    return {
        sharded.OptixPlanOperator: {**to_optix("planned"), **source},
        sharded.OptixSendShardOperator: {**sent, "shard": shard},
        sharded.OptixCommitOperator: {**committed, **source, "planned": plans[0]},
        sharded.OptixGiveUpOperator: {**given_up, "planned": plans[1]},
        source_parts.OptixListPartsOperator: {**listed, **source},
        source_parts.OptixReadPartOperator: {"part": part},
        source_parts.OptixFreezePartOperator: {"part": read_part},
        dcp_sharded.DcpPlanFilesOperator: to_table("planned"),
        dcp_sharded.DcpUploadFilesOperator: {**uploaded, "shard": files},
        dcp_sharded.DcpCommitFilesOperator: {**completed, "planned": files_plans[0]},
        dcp_sharded.DcpGiveUpFilesOperator: {**aborted, "planned": files_plans[1]},
    }


def everything(kind, arguments):
    """All that a task leaves: the texts of it."""
    operator = kind(task_id=f"t_{kind.__name__}", **arguments)
    try:
        yield json.dumps(run(operator), default=repr)
    except TaskDeferred as deferred:
        path, kwargs = deferred.trigger.serialize()
        yield json.dumps([path, kwargs, deferred.kwargs], default=repr)
        if path.endswith("DcpUploadTrigger"):
            trigger = DcpUploadTrigger(**{**kwargs, "first_poll_seconds": 0, "poll_seconds": 0.01})
            yield json.dumps(asyncio.run(anext(trigger.run())).payload)
    except Exception as error:
        yield from all_of(error)
    yield json.dumps({name: repr(getattr(operator, name)) for name in operator.template_fields})


def all_of(error):
    while error:
        yield f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


def staged():
    return [path.read_text("utf-8", "replace") for path in (HOME / "optimove").rglob("*") if path.is_file()]


def found(canaries, texts):
    forms = [(one, encode(one)) for one in canaries for encode in ENCODERS]
    return [(one, text[max(0, text.find(form) - 200) :][:500]) for text in texts for one, form in forms if form in text]


def told(canaries):
    """What a careless server says: all that it was sent, in every form; and a table's keys under their names."""
    keys = dict(zip(("aws_access_key", "aws_secret_key"), canaries[4:], strict=False))
    named = [json.dumps(keys), json.dumps(json.dumps(keys)), html.escape(json.dumps(keys)), repr(keys)]
    return " ".join([*(encode(one) for one in canaries[:4] + canaries[6:] for encode in ENCODERS), *named])


def bare(keys):
    return " ".join(encode(one) for one in keys for encode in ENCODERS)


TROUBLES = {
    "none": None,
    "refused": lambda said: {"status": 400, "body": said},
    "the keys": lambda said: {"status": 403, "body": json.dumps({"message": said})},
    "unreadable": lambda said: {"status": 200, "body": f"{said} " * 3, "headers": {"content-type": said.split()[0]}},
    "of another kind": lambda said: {"status": 200, "body": json.dumps([{"id": said, "file": said, "status": said}])},
}


def test_no_secret_is_left_behind(emulator, work, caplog, capfd):
    arguments, canaries, _ = work
    caplog.set_level("DEBUG", "optimove_provider")
    for name, trouble in TROUBLES.items():
        texts = []
        for kind, own in arguments.items():
            emulator.state.faults.answers.clear()
            if trouble:
                sent = canaries[:2] + canaries[5:6] if kind.__name__.startswith("Optix") else canaries[2:]
                emulator.state.faults.order(Fault(times=99, **trouble(told(sent))))
            texts += everything(kind, own)
        texts += [DcpHook().test_connection()[1]]
        assert len(texts) >= 2 * len(arguments)
        assert name in ("none", "of another kind") or "***" in " ".join(texts)
        assert (name, found(canaries, [*texts, *staged(), caplog.text, *capfd.readouterr()])) == (name, [])


def test_no_secret_is_left_behind_by_s3(emulator, work, talkative_s3, caplog, capfd):
    arguments, canaries, url = work
    caplog.set_level("DEBUG", "optimove_provider")
    for status, code in [(403, "AccessDenied"), (403, "RequestTimeTooSkewed"), (400, "Odd")]:
        texts = []
        for kind, own in {dcp_import.DcpS3ImportOperator: {}, DcpUploadSensor: {"s3_key": "nowhere.csv"}}.items():
            sent = canaries[2:4] + canaries[5:6] if own else canaries[2:]
            talkative_s3(status, code, told(sent) + bare(canaries[6:]), "" if own else url)
            texts += everything(kind, {**arguments[kind], **own})
        assert " ".join(texts).count("***") > 2
        assert found(canaries, [*texts, *staged(), caplog.text, *capfd.readouterr()]) == []


def test_the_tables_keys_and_what_is_in_a_url_are_masked_in_airflows_logs(work):
    _, canaries, _ = work
    for canary in canaries[2:5] + canaries[6:]:
        assert redact(f"<{canary}>") == "<***>"
    assert redact({"upload_history_token": "x"}) == {"upload_history_token": "***"}


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ({"aws_access_key": ""}, r"no AWS keys of its own \(aws_access_key is empty, or no key\): name a connection"),
        ({"aws_secret_key": None}, r"no AWS keys of its own \(aws_secret_key is empty, or no key\): name a connection"),
        ({"aws_access_key": None, "aws_secret_key": " "}, "aws_access_key and aws_secret_key is empty"),
        ({"s3_path": None}, "names no folder of its own"),
        ({"s3_path": ""}, "names no folder of its own"),
        ({"s3_path": "/"}, "names no folder of its own"),
    ],
)
def test_a_table_without_a_folder_or_keys_is_refused(emulator, monkeypatch, lacks, said):
    """Without keys boto would take those of the machine; without a folder a file would be at the bucket's root."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ambient")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    table = {"id": 7, "name": "T", "s3_path": "dcp/1/7", "aws_access_key": "AKIA", "aws_secret_key": "key", **lacks}
    emulator.state.faults.order(Fault("read_table", status=200, body=json.dumps(table)))
    emulator.state.faults.order(Fault("list_attributes", status=200, body='[{"name": "age", "datatype": "long"}]'))
    with pytest.raises(AirflowFailException, match=said):
        run(dcp_import.DcpS3ImportOperator(task_id="t", table_id=7, source=ROWS))
