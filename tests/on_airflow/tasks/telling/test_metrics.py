"""What loads add to Airflow's metrics, as a listener on UDP gets it."""

from collections import Counter


def test_rows_requests_time_and_lag_are_told_with_few_tags(all_kinds):
    ours = [line for line in all_kinds.metrics if "optimove." in line]
    found = dict(_read(line) for line in ours)
    told = {name: value for (task, name), value in found.items() if task == "queried"}
    assert {name: told[name] for name in ("rows_accepted", "rows_rejected", "requests", "requests_throttled")} == {
        "rows_accepted": 2,
        "rows_rejected": 0,
        "requests": 2,
        "requests_throttled": 1,
    }
    assert told["load_duration"] > 0
    assert told["lag_seconds"] > 86_400
    assert found["keyless", "rows_rejected"] == 1
    assert ("keyless", "lag_seconds") not in found
    assert not [task for task, _ in found if task in ("planned", "no_table")]
    assert Counter(tag for line in ours for tag in _tags(line)).keys() == {"kind", "dag_id", "task_id"}
    assert not [line for line in ours if all_kinds.connection in line]


def _read(line):
    head, _, value = line.partition(":")
    return (_tags(line)["task_id"], head.partition(",")[0].partition("optimove.")[2]), float(value.partition("|")[0])


def _tags(line):
    return dict(tag.split("=") for tag in line.partition(":")[0].split(",")[1:])
