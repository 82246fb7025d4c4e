"""The asset events of loads, as Airflow registered them."""

import json
from collections import Counter

from tests.support.telling.runs import SECRET_VALUE

OWN = "optix://localhost:1/data-connections/"


def test_each_load_that_arrived_is_one_event_of_its_targets_asset_with_its_account(all_kinds):
    optix = f"optix://{all_kinds.host}/data-connections/{all_kinds.connection}"
    dcp = f"dcp://{all_kinds.host}/services/{all_kinds.service}/tables/{all_kinds.table}"
    found = Counter((task, uri) for task, uri, _ in all_kinds.events)
    expected = {(task, optix): 1 for task in ("retried", "queried", "mapped[0]", "mapped[1]", "updated")}
    assert found == expected | {(task, dcp): 1 for task in ("imported", "written")} | {
        ("updated", OWN + all_kinds.connection): 1
    }
    accounts = {task: told["account"] for task, told in all_kinds.xcoms.items()}
    for task, _, extra in all_kinds.events:
        assert {**extra, "report": ""} == {**accounts[task], "report": ""}
        assert extra["report"].endswith(f"reports/{extra['load_id']}.json")
    assert SECRET_VALUE not in json.dumps(all_kinds.events)
