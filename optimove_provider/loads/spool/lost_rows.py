"""Files of rows that staging is relied on to have: what is said where one is gone or damaged, and what to do then.

A rule of a bucket that removes old objects, somebody who tidied up, a disk that lost what it had: nothing may go on as
if the rows had never been there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.state.staging import Staging


class LostRows(DataError):
    """Staging has no rows any more where a ledger, or a load, relies on them."""

    then = NextStep.MEND_STAGING

    @classmethod
    def at(cls, staging: Staging, path: str, what: str) -> "LostRows":
        """The error about one file or folder, and what has become of it."""
        return cls(
            f"{staging.url(path)} {what}, and without its rows nobody knows what the target has: nothing is sent. If "
            "a rule of the bucket removes old objects, exempt staging from it. Restore it; or begin the ledger of the "
            "target anew with airflow optimove ledger forget TARGET --force, and make that again of a backup, or load "
            "every key. Rows below loads/ that no ledger needs are read again once their task is cleared"
        )


@contextmanager
def opened(staging: Staging, path: str) -> Iterator[pq.ParquetFile]:
    """A file of rows. Raises LostRows where there is none, or what is there is none."""
    try:
        stream = staging.open(path)
    except FileNotFoundError:
        raise LostRows.at(staging, path, "is not there any more") from None
    with stream:
        try:
            file = pq.ParquetFile(stream)
        except (pa.ArrowInvalid, OSError) as error:
            if getattr(error, "errno", None):  # the storage did not answer
                raise
            raise LostRows.at(staging, path, f"is damaged ({str(error).splitlines()[0]})") from None
        with file:
            yield file
