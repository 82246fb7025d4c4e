"""Loads of all kinds back to back in one process: what `python -m benchmarks.soak` does for an hour."""

import json
import random
from dataclasses import replace

import pytest

from benchmarks.soak import Figures, Loads, Source, control_of, grown, measured
from optimove_provider.loads.history.loads import LoadIndex
from optimove_provider.tasks.staging import staging
from tests.conftest import HOME

KEPT = 4
ROUNDS = 6


@pytest.fixture
def loads(emulator, tmp_path, monkeypatch, change_connection):
    warehouse, chance = tmp_path / "warehouse.db", random.Random(1)  # noqa: S311 - no secret
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", json.dumps({"conn_type": "sqlite", "host": str(warehouse)}))
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__KEEP_LOADS", str(KEPT))
    for conn_id in ("optix_default", "dcp_default"):
        change_connection(conn_id, extra={"requests_per_10s": 10_000})
    made = Loads(Source(warehouse, chance, customers=200), control_of(emulator.url), chance)
    made.prepare()
    return made


def test_all_kinds_of_loads_leave_no_more_than_is_to_be_kept(loads):
    for _ in range(ROUNDS):
        loads.round()
    loads.failing()
    assert loads.wrong() == 0
    known = {load.load_id for load in LoadIndex().loads(staging())}
    assert loads.count > 4 * KEPT
    assert len(known) <= KEPT
    assert len(staging().names("loads")) <= len(staging().names("tries")) <= KEPT
    found = measured(HOME / "optimove", loads.count, 0)
    assert found.report_files <= 4 * KEPT
    assert found.staging_files <= 10 * KEPT


FLAT = Figures(1, 300.0, 7, 10, 120, 800, 140, 850, 200, 2500, 0)


def test_what_goes_up_and_down_is_flat_and_what_goes_up_only_is_not():
    wave = [replace(FLAT, ledger_kb=2500 + 500 * (minute % 5), rss_mb=300 + minute % 3) for minute in range(60)]
    assert grown(wave) == []
    leaking = [replace(one, rss_mb=300.0 + minute, handles=10 + minute // 8) for minute, one in enumerate(wave)]
    assert [told.partition(":")[0] for told in grown(leaking)] == ["rss_mb", "handles"]
