"""Options of operators: literals are checked when the DAG is parsed, rendered values when the task runs."""

import inspect
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from airflow.sdk import DAG, task
from airflow.serialization.serialized_objects import DagSerialization

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.demo import journey
from optimove_provider.operators.dcp import (
    DcpArchiveAttributesOperator,
    DcpCreateAliasesOperator,
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpLinkProjectOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
    DcpWriteProfilesOperator,
)
from optimove_provider.operators.dcp_subject_access import DcpSubjectAccessOperator
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from optimove_provider.operators.optix_expire import OptixExpireOperator
from optimove_provider.options import Guards, Sending
from tests.support.running import context

GUARDS = {
    "allow_empty": False,
    "min_rows_share": 0.5,
    "min_filled_share": 0.1,
    "max_changed_share": 0.5,
    "max_removed_share": 0.2,
}
SENDING = {
    "max_in_flight": 4,
    "max_bisect_requests": 10_000,
    "resume_within": 900.0,
    "owed_tries": 5,
    "give_up_after": 600.0,
}
ROWS = [{"id": number, "word": "a"} for number in range(30)]
OPERATORS = {
    OptixUploadOperator: {"data_connection_uuid": "uuid", "primary_key": "id", "source": ROWS},
    OptixUpdateOperator: {"data_connection_uuid": "uuid", "primary_key": "id", "source": ROWS},
    OptixExpireOperator: {"data_connection_uuid": "uuid", "primary_key": "id", "keys": ["a"]},
    DcpSubjectAccessOperator: {"customer_ids": ["a"]},
    DcpS3ImportOperator: {"table_id": 1, "source": ROWS, "wait": True},
    DcpWriteProfilesOperator: {"table_id": 1, "profiles": []},
    DcpCreateAliasesOperator: {"service_id": 1, "aliases": []},
    DcpCreateServiceOperator: {"name": "Shop"},
    DcpCreateTableOperator: {"service_id": 1, "name": "Customers", "keyfield_locator_type": "uid"},
    DcpRegisterAttributesOperator: {"table_id": 1, "attributes": []},
    DcpLinkProjectOperator: {"project_id": 1, "service_id": 1},
    DcpArchiveAttributesOperator: {"table_id": 1, "names": ["age"]},
}
TEMPLATE = "{{ params.value }}"
# Of each field: literals that are refused, rendered texts that are refused, and what one that is taken becomes.
FIELDS = {
    "mode": (["merge", None], ["merge", "None", ""], ("changed", "changed")),
    "dry_run": ([1, "yes", None], ["yes", "1", "None", ""], ("True", True)),
    "update": ([1, "yes", None], ["yes", "1", "None", ""], ("True", True)),
    "overwrite_newer": ([1, "yes", None], ["yes", "1", "None", ""], ("True", True)),
    "suppress": ([1, "yes", None], ["yes", "1", "None", ""], ("True", True)),
    "keys": ([1.5, [""], [1.5], [True], {"a": 1}], ["[1.5]", "['a']", "None", ""], ('["a", 1]', ["a", 1])),
    "customer_ids": ([1.5, [""], [1.5], [True], {"a": 1}], ["[1.5]", "['a']", "None", ""], ('["a", 1]', ["a", 1])),
    "request_type": (["erase", None, 1], ["erase", "None", ""], ("access", "access")),
    "strict": ([1, "yes", None], ["yes", "1", "None", ""], ("True", True)),
    "ttl_seconds": ([0, True, "60", 3 * 10**11], ["0", "never", "None", "", "3e11", "1_0"], ("60", 60)),
    "window_grain": (
        ["1h", None, 0, -3600, timedelta(hours=5), timedelta(days=1.5), 7 * 3600],
        ["5 hours", "0", "None", ""],
        ("5400", timedelta(minutes=90)),
    ),
    "resend_rejected": ([1, "yes", None], ["yes", "1", "None", ""], ("True", True)),
    "limit": ([0, -1, True, "5", 1.5], ["0", "all", "None", ""], ("off", None)),
    "stamp": (
        ["x", 5, [1], {1: "x"}, {"run": None}, {"run": {"of": 1}}, {"run": [1]}],
        ["x", "None", ""],
        ('{"run": "x"}', {"run": "x"}),
    ),
    "window_lookback": (["1d", None, -1, timedelta(-1)], ["1d", "-1", "None", ""], ("90", timedelta(seconds=90))),
    "lock_timeout": (["1h", None, -1, float("inf")], ["1h", "-1", "None", ""], ("60", timedelta(minutes=1))),
    "wait_timeout": (["1h", None, -1, float("nan")], ["1h", "-1", "None", ""], ("0.5", timedelta(seconds=0.5))),
    "verify": (["some", None, 0, -0.5, 1.5, True], ["some", "0", "1.5", "None", ""], ("0.25", 0.25)),
    "reverify_after": (["1h", -1, float("nan"), True], ["1h", "-1", "None", ""], ("off", None)),
    "max_rejected": ([-1, 1.5, float("nan"), True, "3"], ["-1", "1.5", "nan", "None", ""], ("0.25", 0.25)),
}
MEMBERS = {
    "guards.allow_empty": ([1, "true", None], ["1", "off", "None", ""], ("true", True)),
    "guards.min_rows_share": ([2, True, "0.3", float("nan")], ["2", "None", ""], ("0.3", 0.3)),
    "guards.min_filled_share": ([-1], ["nan", "None", ""], ("off", None)),
    "guards.max_removed_share": ([1.1], ["1.1", "None", ""], ("off", None)),
    "guards.max_changed_share": ([1.1], ["1.1", "None", ""], ("1", 1.0)),
    "sending.max_in_flight": ([0, True, "4", None], ["0", "off", "None", ""], ("8", 8)),
    "sending.max_bisect_requests": ([-1], ["-1", "None", ""], ("0", 0)),
    "sending.resume_within": ([-1, "60", 1e15], ["-1", "None", "", "1e15"], ("60", 60.0)),
    "sending.owed_tries": ([-1, 1.5, True], ["-1", "None", ""], ("0", 0)),
    "sending.give_up_after": ([-1, "60", True], ["-1", "None", ""], ("30", 30.0)),
}


def make(operator, name, value, **dag):
    """The operator in a DAG, with one field, or one member of it, set to the value."""
    field, _, member = name.partition(".")
    with DAG("options", schedule=None, **dag):
        return operator(task_id="x", **{**OPERATORS[operator], field: {member: value} if member else value})


def shown(operator, name):
    field, _, member = name.partition(".")
    value = getattr(operator, field)
    return value[member] if member else value


def render(operator, value):
    """The context of a run, in which the templates are rendered as Airflow does it."""
    told = {**context(operator), "params": {"value": value}, "dag_run": None}
    operator.render_template_fields(told)
    return told


ALL = [
    pytest.param(operator, name, *cases, id=f"{operator.__name__}-{name}")
    for operator in OPERATORS
    for name, cases in {**FIELDS, **MEMBERS}.items()
    if name.partition(".")[0] in operator.checked
]


def test_every_option_that_a_run_may_want_to_differ_in_is_a_template_field():
    for operator in OPERATORS:
        named = {"guards", "sending", *FIELDS}
        own = named & inspect.signature(operator.__init__.__wrapped__).parameters.keys()
        assert own == set(operator.checked) <= set(operator.template_fields)


@pytest.mark.parametrize(("operator", "name", "literals", "texts", "taken"), ALL)
def test_a_literal_is_refused_when_the_dag_is_parsed(operator, name, literals, texts, taken):
    for literal in literals:
        with pytest.raises(SettingsError) as raised:
            make(operator, name, literal)
        assert f"{name}={literal!r}: expected " in str(raised.value)


@pytest.mark.parametrize(("operator", "name", "literals", "texts", "taken"), ALL)
def test_a_rendered_value_is_refused_before_anything_else_happens(operator, name, literals, texts, taken):
    for text in texts:
        x = make(operator, name, TEMPLATE)
        told = render(x, text)
        assert shown(x, name) == text  # which the page of rendered templates shows
        with pytest.raises(AirflowFailException) as raised:
            x.execute(told)
        missing = text in ("None", "")
        assert str(raised.value).startswith(
            f"{name} was rendered as {text!r}" if missing else f"{name}={text!r}: expec"
        )


@pytest.mark.parametrize(("operator", "name", "literals", "texts", "taken"), ALL)
def test_a_rendered_value_is_taken_for_what_it_means(operator, name, literals, texts, taken):
    text, value = taken
    x = make(operator, name, TEMPLATE)
    render(x, text)
    x.read_rendered()
    assert (shown(x, name), type(shown(x, name))) == (value, type(value))
    x.read_rendered()  # as a try does that goes on after it was deferred
    assert shown(x, name) == value


@pytest.mark.parametrize(("operator", "name", "literals", "texts", "taken"), ALL)
def test_a_dag_that_renders_natively_may_not_give_none_either(operator, name, literals, texts, taken):
    x = make(operator, name, TEMPLATE, render_template_as_native_obj=True)
    with pytest.raises(AirflowFailException, match=f"{name} was rendered as None"):
        x.execute(render(x, None))
    x = make(operator, name, TEMPLATE, render_template_as_native_obj=True)
    render(x, taken[1] if taken[1] is not None else "off")
    x.read_rendered()
    assert shown(x, name) == taken[1]


def test_a_window_is_as_long_as_the_rendered_grain_says():
    with DAG("options", schedule="0 1 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        of_window = {**OPERATORS[OptixUploadOperator], "source": None, "sql": "{{ window.start }}"}
        x = OptixUploadOperator(task_id="x", **of_window, window_grain=TEMPLATE)
    run = SimpleNamespace(run_after=datetime(2026, 11, 9, 1, tzinfo=UTC), run_type="scheduled")
    told = {**context(x), "dag": dag, "dag_run": run}
    x.render_template_fields({**told, "params": {"value": "3600"}})
    assert x.sql == "2026-11-08 01:00:00+00:00"
    with DAG("options", schedule="0 1 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        x = OptixUploadOperator(task_id="x", **of_window, window_grain=TEMPLATE)
    with pytest.raises(AirflowFailException, match="window_grain='5 hours': expected whole days"):
        x.render_template_fields({**told, "dag": dag, "params": {"value": "5 hours"}})


def test_values_and_mappings_are_kept_as_the_same_plain_dict():
    by_value = OptixUploadOperator(
        task_id="x",
        **OPERATORS[OptixUploadOperator],
        guards=Guards(min_rows_share=None),
        sending=Sending(resume_within=timedelta(minutes=1)),
    )
    by_mapping = OptixUploadOperator(
        task_id="x",
        **OPERATORS[OptixUploadOperator],
        guards={"min_rows_share": None},
        sending={"resume_within": 60},
    )
    assert by_value.guards == by_mapping.guards == {**GUARDS, "min_rows_share": None}
    assert by_value.sending == by_mapping.sending == {**SENDING, "resume_within": 60.0}
    assert repr(by_value.sending) == repr(by_mapping.sending)


@pytest.mark.parametrize("wrong", [{"guards": {"min_row_share": 1}}, {"guards": 0.5}, {"sending": Guards()}])
def test_what_is_no_group_of_that_name_is_refused(wrong):
    with pytest.raises(SettingsError, match=r"guards\.min_row_share=1: unknown|guards=0\.5: exp|sending=Guards"):
        OptixUploadOperator(task_id="x", **OPERATORS[OptixUploadOperator], **wrong)


@pytest.mark.parametrize(
    ("operator", "how", "rendered", "message"),
    [
        (OptixUploadOperator, {"on_removed": "expire"}, "full", "on_removed='expire' needs source_is='snapshot'"),
        (DcpS3ImportOperator, {"wait": False}, "changed", "needs wait=True"),
        (DcpS3ImportOperator, {"source_is": "snapshot"}, "full", 'need mode="changed"'),
    ],
)
def test_a_rendered_mode_that_contradicts_another_option_is_refused(operator, how, rendered, message):
    x = operator(task_id="x", **{**OPERATORS[operator], **how}, mode=TEMPLATE)
    with pytest.raises(AirflowFailException, match=message):
        x.execute(render(x, rendered))


def test_a_template_does_not_hide_what_is_wrong_beside_it():
    with pytest.raises(SettingsError, match="source_is='all'"):
        OptixUploadOperator(task_id="x", **OPERATORS[OptixUploadOperator], mode=TEMPLATE, source_is="all")
    with pytest.raises(SettingsError, match="source_is='all'"):
        DcpS3ImportOperator(task_id="x", **OPERATORS[DcpS3ImportOperator], mode=TEMPLATE, source_is="all")


def templated(**how):
    """Arguments of an upload of which a run decides everything that it can."""
    return {
        "primary_key": "id",
        "source": ROWS,
        "mode": "{{ params.mode }}",
        "ttl_seconds": "{{ params.ttl }}",
        "max_rejected": "{{ params.rejected }}",
        "guards": {"max_changed_share": "{{ params.changed }}"},
        "sending": {"max_in_flight": "{{ params.flight }}", "resume_within": timedelta(minutes=1)},
        "dry_run": "{{ params.dry }}",
        **how,
    }


def a_dag(uuid="uuid"):
    params = {"mode": "changed", "ttl": 60, "rejected": 0.5, "changed": "off", "flight": 2, "dry": False}
    with DAG("templated_options", schedule=None, params=params) as dag:

        @task
        def choose() -> dict:
            return {"min_rows_share": 0.3}

        OptixUploadOperator(task_id="plain", data_connection_uuid=uuid, **templated())
        OptixUploadOperator(task_id="chosen", data_connection_uuid=uuid, **templated(guards=choose()))
        OptixUploadOperator.partial(task_id="mapped", **templated(sending=Sending(2))).expand(
            data_connection_uuid=[uuid]
        )
    return dag


def test_a_dag_that_is_parsed_again_has_the_same_serialized_form():
    first, second = (json.dumps(DagSerialization.to_dict(a_dag()), sort_keys=True) for _ in range(2))
    assert first == second
    assert " at 0x" not in first
    assert '"max_in_flight": "{{ params.flight }}"' in first
    assert '"resume_within": 60.0' in first


@pytest.fixture
def uuid(emulator, airflow_db):
    return OptixCreateConnectionOperator(task_id="create", name="Options", primary_key="id").execute({})


def test_a_run_decides_what_its_tasks_do(emulator, uuid):
    dag = a_dag(uuid)
    journey.register(dag)
    for dry, expected in ((True, {"planned"}), (False, {"committed", "nothing_to_send"})):
        outcome = journey.run(dag, conf={"dry": dry})
        assert outcome.state == "success"
        assert {outcome.results[name]["state"] for name in ("plain", "chosen", "mapped[0]")} == expected


@pytest.mark.parametrize("missing", ["mode", "ttl", "rejected", "changed", "flight", "dry"])
def test_a_run_that_gives_a_template_nothing_fails_for_good(emulator, uuid, missing):
    """In Jinja's words None is a text; what the DAG means by None is no limit."""
    with DAG(f"without_{missing}", schedule=None, params={missing: None}) as dag:
        OptixUploadOperator(
            task_id="upload",
            data_connection_uuid=uuid,
            retries=1,
            **{
                name: value
                for name, value in templated().items()
                if f"params.{missing}" in str(value) or name in ("primary_key", "source")
            },
        )
    journey.register(dag)
    assert journey.run(dag).tasks == {"upload": "failed"}
    assert not [request for request in emulator.state.requests if request["endpoint"] == "upload_data"]


def test_operators_of_this_test_are_all_that_check_something():
    from optimove_provider.operators import dcp, dcp_import, dcp_subject_access, optix, optix_expire
    from optimove_provider.tasks.checked_fields import CheckedOperator

    checking = {
        one
        for module in (dcp, dcp_import, dcp_subject_access, optix, optix_expire)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, BaseOperator) and issubclass(one, CheckedOperator)
        if one.__module__ == module.__name__ and not one.__name__.startswith("_")
    }
    assert checking == set(OPERATORS)
