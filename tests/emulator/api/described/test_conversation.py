"""schemathesis finds nothing that the emulator does otherwise than its description says: `make describe` tries more."""

import os
import sys
from collections import Counter
from dataclasses import replace

import pytest

from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.emulator import State, Switches
from optimove_provider.emulator.api.routes import PREFIXES
from optimove_provider.emulator.server import EmulatorServer
from tests.support.openapi.conversation import PHASES, Talk, converse

EXAMPLES, SEED = int(os.environ.get("EXAMPLES", "6")), int(os.environ.get("SEED", "1"))
OTHERS = replace(
    Switches(),
    create_status=200,
    success_status=202,
    success_body="success",
    error_envelope="detail",
    schema_status=422,
    wrong_brand_status=403,
    nested_values="refuse",
    null_values="refuse",
    update_limit=3,
    zero_ttl="expire",
    max_ttl_seconds=3600,
    dcp_error_body="text",
    profile_write_answer="echo",
    alias_answer="echo",
    accepted_auth="bearer",
    attribute_put="400",
    odd_attribute="datatype",
    history_times="mail",
    history_states="upper",
    history_counts=False,
    second_service_status=409,
    unknown_profile="empty",
)
"""Each of these changes what is described."""


@pytest.mark.parametrize(("guesses", "phases"), [(Switches(), PHASES), (OTHERS, ("coverage",))], ids=["ours", "others"])
def test_schemathesis_finds_nothing(guesses, phases, capsys):
    state = State(seed="described")
    with EmulatorServer(state=state) as emulator:
        found = converse(emulator, Talk(guesses, EXAMPLES, SEED, phases))
    if "EXAMPLES" in os.environ:
        with capsys.disabled():
            sys.stdout.write(f"\nrequests: {dict(found.cases)}, by status: {dict(by_status(found))}\n")
    assert found.failures == {}
    assert set(found.cases) == set(phases)
    assert all(found.successes(operation) for operation in found.operations - NEVER), found.statuses
    assert by_status(found)[400] + by_status(found)[422] > 100


NEVER = {
    f"GET {PREFIXES[optix.API]}",
    "GET /vis/api/consolidatedCustomerView/{service_id}/{optimizely_user_id}",
}
"""Nothing can be read at the one, and the other is the path of another year."""


def by_status(found):
    counted = Counter()
    for (_, status), times in found.statuses.items():
        counted[status] += times
    return counted


DEVIATIONS = [
    (optix.CREATE_CONNECTION, {"create_status": 200}, "Undocumented status code"),
    (optix.CREATE_CONNECTION, {"created_uuid": "missing"}, "Response violates schema"),
    (optix.UPLOAD_DATA, {"max_ttl_seconds": 1}, "Schema-valid request rejected"),
    (optix.UPLOAD_DATA, {"zero_ttl": "expire"}, "Schema-violating request accepted"),
]


@pytest.mark.parametrize(("row", "otherwise", "finds"), DEVIATIONS, ids=[next(iter(one)) for _, one, _ in DEVIATIONS])
def test_it_finds_what_is_not_as_described(row, otherwise, finds):
    with EmulatorServer(state=State(seed="described")) as emulator:
        served = replace(Switches(), **otherwise)
        found = converse(emulator, Talk(Switches(), 1, 1, ("coverage",), row, served))
    assert any(finds in title for title in found.failures), list(found.failures)
