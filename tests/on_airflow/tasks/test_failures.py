"""What Airflow is told of a disk that takes no more, wherever in a task it was met."""

import errno
import os
import traceback

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.tasks.failures import airflow_failures


def failing(number, name=None):
    with airflow_failures():
        raise OSError(number, os.strerror(number), name)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG])
def test_a_full_disk_is_told_with_its_path_and_tried_again(number):
    with pytest.raises(AirflowException, match=r"/data/out.csv could not be written") as told:
        failing(number, "/data/out.csv")
    assert not isinstance(told.value, AirflowFailException)


def test_what_may_not_be_read_is_not_told_as_what_could_not_be_written():
    with pytest.raises(PermissionError):
        failing(errno.EACCES, "/data/in.csv")


def reading():
    try:
        raise ValueError("what a library says")
    except ValueError as error:
        raise DataError("row 3 cannot be read: mend it, and clear the task") from error


def test_a_failure_is_one_sentence_and_then_one_traceback_that_leads_to_where_it_began(caplog):
    with pytest.raises(AirflowFailException) as told, airflow_failures():
        reading()
    shown = "".join(traceback.format_exception(told.value))
    assert shown.count("Traceback (most recent call last)") == 1
    assert "in reading" in shown
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == [str(told.value)]


def test_what_a_report_has_told_is_not_told_again(caplog):
    error = DataError("the load failed")
    error.told = "the load failed. Nothing of this load is visible"
    error.add_note("to write the report failed as well")
    with pytest.raises(AirflowFailException) as told, airflow_failures():
        raise error
    assert caplog.records == []
    assert str(told.value).startswith(error.told)
    assert told.value.__notes__ == ["to write the report failed as well"]
