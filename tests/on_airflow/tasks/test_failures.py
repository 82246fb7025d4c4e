"""What Airflow is told of a disk that takes no more, wherever in a task it was met."""

import errno
import os

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

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
