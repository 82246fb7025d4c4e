"""What the vendors print is right by the schemas, transcribed by hand; what they say is refused is not."""

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles, subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.shapes import dcp as dcp_shapes
from optimove_provider.contract.shapes import optix as optix_shapes
from optimove_provider.contract.shapes import profiles as profile_shapes

SHAPES = {**optix_shapes.SHAPES, **dcp_shapes.SHAPES, **profile_shapes.SHAPES}
UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
SERVICE = {
    "id": 567,
    "account_id": 123456,
    "name": "My DCP Service",
    "archived": False,
    "aws_access_key": "made up",
    "aws_secret_key": "made up",
    "s3_path": "dcp/567",
    "created": "2015-08-20T23:26:08.414110Z",
    "last_modified": "2015-08-20T23:26:08.414110Z",
}
ATTRIBUTE = {
    "id": 789,
    "name": "Life-time value",
    "datatype": "long",
    "format": None,
    "description": None,
    "is_value_public": False,
    "archived": False,
}
TABLE = {
    **SERVICE,
    "id": 678,
    "dcp_service_id": 567,
    "name": "My Data Warehouse",
    "description": None,
    "keyfield_locator_type": "cookie",
    "keyfield_locator_name": "_my_hashedEmailcookie",
    "is_optimizely": False,
    "attributes": [ATTRIBUTE],
    "s3_path": "dcp/567/678",
}
PROFILE = {
    "dcpServiceId": "567",
    "datasourceId": "678",
    "customerId": "oeu1234.5678",
    "data": {"Life-time value": 1200, "most_viewed_category": "shirts"},
}
ALIASES = {"8905": "sfdc1223a3_ji$ddd", "1232": "mkto1245433:213ad"}
PRINTED = [
    (optix.CREATE_CONNECTION, {"name": "My Data Connection", "primary_key": "user_id", "description": "."}),
    (optix.UPLOAD_DATA, {"data": [{"user_id": 1, "purchase_amount": 100}], "ttl_seconds": None}),
    (optix.UPLOAD_DATA, {"data": [{"user_id": "1"}], "batch_uuid": UUID, "batch_completed": False}),
    (optix.UPDATE_DATA, [{"primary_key": 54490, "data": {"purchase_amount": 100}, "ttl": 3600}]),
    (dcp.CREATE_SERVICE, {"name": "My DCP Service"}),
    (dcp.CREATE_TABLE, {"name": "CRM", "keyfield_locator_type": "query parameter", "keyfield_locator_name": "user$1"}),
    (dcp.CREATE_TABLE, {"name": "Optimizely", "keyfield_locator_type": "uid", "keyfield_locator_name": None}),
    (dcp.UPDATE_TABLE, {"description": "My CRM"}),
    (dcp.CREATE_ATTRIBUTE, {"name": "Preferred Locale", "datatype": "string", "format": None, "description": "x"}),
    (dcp.CREATE_ATTRIBUTE, {"name": "since", "datatype": "datetime", "format": "yyyy-mm-ddThh:mm:ssZ"}),
    (dcp.UPDATE_ATTRIBUTE, {"name": "most_viewed", "datatype": "string", "description": "new"}),
    (dcp.UPDATE_PROJECT, {"dcp_service_id": 567}),
    (profiles.WRITE_PROFILE, {"data": {"Life-time value": 1200, "vip": True}}),
    (profiles.CREATE_ALIASES, {"data": ALIASES}),
    (
        subject_access.CREATE_SUBJECT_ACCESS_REQUEST,
        {"data_type": "visitor", "identifier": "1", "identifier_type": "dcp_id", "request_type": "access"},
    ),
]
ANSWERED = [
    (optix.CREATE_CONNECTION, {"data_connection_uuid": UUID}),
    (dcp.LIST_SERVICES, [SERVICE]),
    (dcp.READ_TABLE, TABLE),
    (dcp.LIST_TABLES, [{**TABLE, "keyfield_locator_type": "uid", "keyfield_locator_name": None}]),
    (profiles.READ_PROFILE, PROFILE),
    (profiles.READ_CONSOLIDATED, [PROFILE]),
    (profiles.READ_ALIASES, {**PROFILE, "data": ALIASES}),
]
REFUSED = [
    (optix.CREATE_CONNECTION, {"name": "no key"}),
    (optix.UPLOAD_DATA, {"data": [{"user_id": 1}] * 5001}),
    (optix.UPLOAD_DATA, {"data": {"user_id": 1}}),
    (optix.UPLOAD_DATA, {"data": [{"user_id": 1}], "batch_uuid": "b1"}),
    (optix.UPDATE_DATA, {"data": [{"user_id": 1}]}),
    (optix.UPDATE_DATA, [{"user_id": 1}]),
    (dcp.CREATE_TABLE, {"name": "CRM", "keyfield_locator_type": "cookie"}),
    (dcp.CREATE_TABLE, {"name": "CRM", "keyfield_locator_type": "cookie", "keyfield_locator_name": "1st"}),
    (dcp.CREATE_TABLE, {"name": "CRM", "keyfield_locator_type": "uuid", "keyfield_locator_name": "id"}),
    (dcp.CREATE_TABLE, {"name": "CRM", "keyfield_locator_type": "uid", "keyfield_locator_name": "id"}),
    (dcp.CREATE_ATTRIBUTE, {"name": "since", "datatype": "datetime"}),
    (dcp.CREATE_ATTRIBUTE, {"name": "ltv", "datatype": "text"}),
    (dcp.CREATE_ATTRIBUTE, {"name": "ltv", "datatype": "long", "format": "epoch"}),
    (dcp.CREATE_ATTRIBUTE, {"name": "CustomerID", "datatype": "string"}),
    (profiles.WRITE_PROFILE, {"data": {"ltv": None}}),
    (profiles.CREATE_ALIASES, {"data": {"8905": 1}}),
    (subject_access.CREATE_SUBJECT_ACCESS_REQUEST, {"data_type": "visitor", "identifier": "x" * 356}),
]


def fits(schema, value):
    return Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(value)


@pytest.mark.parametrize(("row", "body"), PRINTED, ids=lambda one: getattr(one, "name", ""))
def test_a_request_that_is_printed_is_taken(row, body):
    assert fits(SHAPES[row].takes, body)


@pytest.mark.parametrize(("row", "body"), ANSWERED, ids=lambda one: getattr(one, "name", ""))
def test_an_answer_that_is_printed_is_right(row, body):
    assert fits(SHAPES[row].gives, body)


@pytest.mark.parametrize(("row", "body"), REFUSED, ids=lambda one: getattr(one, "name", ""))
def test_what_is_said_to_be_refused_is_not_taken(row, body):
    assert not fits(SHAPES[row].takes, body)


DOCUMENTED = {"GET": 200, "POST": 201, "PUT": 202, "DELETE": 204}
"""Of DCP's config host (REST reference, responses)."""


def test_statuses_of_success_are_the_documented_ones():
    for row in (one for one in SHAPES if one.api == dcp.API):
        assert SHAPES[row].success == DOCUMENTED[row.method], row.name
    assert SHAPES[optix.UPLOAD_DATA].success == 200
    assert SHAPES[profiles.WRITE_PROFILE].success == 201
    assert SHAPES[profiles.WRITE_PROFILE].gives is None
