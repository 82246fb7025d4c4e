"""Retries share a load, everything else begins one."""

from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.loads.state.load_id import TaskTry, begin
from optimove_provider.loads.state.staging import Staging

FIRST = TaskTry("dag", "task", "run", -1, try_number=1, max_tries=2, retries=2)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(LocalFileSystem(), str(tmp_path))


def test_a_retry_takes_the_load_up_again(staging: Staging) -> None:
    ids = {begin(staging, replace(FIRST, try_number=number)) for number in (1, 2, 3)}
    assert len(ids) == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(FIRST, try_number=2, max_tries=3), id="cleared after the first try"),
        pytest.param(replace(FIRST, run_id="other"), id="run"),
        pytest.param(replace(FIRST, map_index=0), id="map index"),
        pytest.param(replace(FIRST, task_id="other"), id="task"),
        pytest.param(FIRST, id="the run was deleted and made again"),
    ],
)
def test_anything_else_begins_another_load(staging: Staging, other: TaskTry) -> None:
    assert begin(staging, FIRST) != begin(staging, other)


def test_a_load_that_staging_has_forgotten_is_never_begun_again(staging: Staging) -> None:
    old = begin(staging, FIRST)
    staging.remove_folder("tries")
    assert begin(staging, FIRST) != old


def test_a_run_made_again_has_retries_of_its_own(staging: Staging) -> None:
    old = begin(staging, FIRST)
    begin(staging, replace(FIRST, try_number=2))
    new = begin(staging, FIRST)
    assert new != old
    assert begin(staging, replace(FIRST, try_number=2)) == new
