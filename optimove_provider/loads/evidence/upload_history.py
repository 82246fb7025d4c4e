"""What became of uploaded files: by the history that a connection names, or by profiles that are remembered before
the upload, and read back."""

import csv
import hashlib
import io
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.s3 import Bucket, NotTaken
from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.contract.cells.registered import Registered, usable
from optimove_provider.contract.dcp.config import Table
from optimove_provider.contract.dcp.profiles import MAX_ID, UNADDRESSABLE, read_profile
from optimove_provider.contract.dcp.readback import Sample, sampled, unreadable
from optimove_provider.contract.dcp.upload_history import Outcome
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError, OptimoveProviderError, Refused, S3Refused
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.publication import RememberRows
from optimove_provider.records.files import delimiter_of

log = logging.getLogger(__name__)

SAMPLE_ROWS = 20
_FIRST_BYTES = 1 << 20
_PATIENCE = timedelta(minutes=2)
"""With profiles that an upload can do without; long enough for the minute that the reference asks for after a 429."""

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UploadHistory:
    """What became of a table's files. `open_bucket` gives the bucket that holds them; `told` is what was warned of."""

    client: DcpClient
    table_id: int
    staging: Staging
    open_bucket: Callable[[Table], Bucket]
    told: set[str] = field(default_factory=set)

    def outcome(self, s3_keys: Sequence[str]) -> Outcome:
        """How the import of files stands. Profiles that cannot be read are told of; where that may pass, it is raised.

        Raises DataError for a file that nobody remembers and that is not there.
        """
        remembered = self.remembered(s3_keys)
        if remembered is None:
            return self.client.upload_outcome(self.table_id, s3_keys, self.told)
        try:
            return self.client.read_back(remembered)
        except OptimoveProviderError as error:
            if error.retry_helps:
                raise
            return unreadable(s3_keys, error)

    def remembered(self, s3_keys: Iterable[str]) -> list[Sample] | None:
        """The profiles by which the import of each file is seen; None where the connection names a history.

        Of a file that no import of ours remembered, some rows are read from the bucket. Raises DataError if they cannot
        be, and what reading the table and the profiles raises.
        """
        if self.client.settings.upload_history_url:
            return None
        return [recall(self.staging, s3_key) or self._remember_now(s3_key) for s3_key in dict.fromkeys(s3_keys)]

    def remembering(self, table: Table, attributes: Sequence[Registered]) -> RememberRows | None:
        """What takes some rows of each file before it is uploaded; None where the connection names a history.

        Nothing is raised for profiles that cannot be read: the upload needs none.
        """
        if self.client.settings.upload_history_url:
            return None
        return partial(remember, self.staging, self.client, table, attributes, read=_optional_profiles)

    def _remember_now(self, s3_key: str) -> Sample:
        table = self.client.read_table(self.table_id)
        rows = first_rows(self.open_bucket(table), s3_key)
        return remember(self.staging, self.client, table, self.client.list_attributes(self.table_id), s3_key, rows)


def remember(
    staging: Staging,
    client: DcpClient,
    table: Table,
    attributes: Sequence[Registered],
    s3_key: str,
    rows: Sequence[Row],
    read: "ReadProfiles | None" = None,
) -> Sample:
    """Store what the profiles of these rows hold now and what the file will write: call it before the upload.

    A row maps column names to cell texts; one column is customerId, in any case. Reads at most one profile a row. Of
    two rows for one customer the last counts. Rows that are remembered already stay as they are: a retry may come after
    the upload.
    """
    empty = Sample(s3_key, table.service_id, table.id, _compared(attributes, rows))
    row_of = {customer_id: row for row in rows if (customer_id := _customer_id(row))}
    earlier = recall(staging, s3_key)
    if earlier and {one.customer_id for one in earlier.customers} == row_of.keys():
        return earlier
    profiles, problem = (read or _profiles)(client, table, row_of)
    customers = tuple(sampled(empty, one, row_of[one], profile) for one, profile in profiles.items())
    found = replace(empty, customers=customers, unreadable=problem)
    staging.write(sample_path(s3_key), found.as_json())
    told = how_many(len(customers), "profile is", "profiles are")
    log.info("%s remembered, to see by them when %s is imported", told, s3_key)
    if problem:
        log.warning(
            "the upload of %s goes on, and profiles that would show its import cannot be read: %s", s3_key, problem
        )
    return found


Profiles = Mapping[str, Mapping[str, Any] | None]
ReadProfiles = Callable[[DcpClient, Table, Iterable[str]], tuple[Profiles, str]]
"""Gives the profiles of customers, and why some are missing."""


def _profiles(client: DcpClient, table: Table, customer_ids: Iterable[str]) -> tuple[Profiles, str]:
    return {one: client.read_profile(table.service_id, table.id, one) for one in customer_ids}, ""


def _optional_profiles(client: DcpClient, table: Table, customer_ids: Iterable[str]) -> tuple[Profiles, str]:
    """As many as can be read: a refusal may be about one id, after anything else nobody asks for more."""
    found, problem = {}, ""
    for one in customer_ids:
        try:
            reading = read_profile(table.service_id, table.id, one)
            found[one] = client.run(reading, give_up_after=_PATIENCE)
        except OptimoveProviderError as error:
            problem = problem or str(error)
            if not isinstance(error, Refused):
                break
    return found, problem


def recall(staging: Staging, s3_key: str) -> Sample | None:
    """What was remembered of a file, or None."""
    found = staging.read(sample_path(s3_key))
    return Sample.from_json(found) if found else None


def forget_samples(staging: Staging, s3_keys: Iterable[str]) -> None:
    """Remove what was remembered of files."""
    for s3_key in s3_keys:
        staging.remove_folder(sample_path(s3_key))


def first_rows(bucket: Bucket, s3_key: str) -> list[Row]:
    """The first rows of an uploaded file. Raises DataError if it is not there or is no CSV, and S3Trouble."""
    place = f"s3://{bucket.name}/{s3_key}"
    try:
        beginning, problem = bucket.beginning(s3_key, _FIRST_BYTES), "there is none"
    except (S3Refused, NotTaken) as error:
        beginning, problem = None, str(error)
    if beginning is None:
        raise DataError(
            f"{place} cannot be read ({problem}), and no import of ours remembers it: without a sample of its rows "
            "nothing can be read back; check s3_key"
        )
    text = beginning.decode("utf-8-sig", "replace")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(s3_key), skipinitialspace=True)
    header = next(lines, [])
    if not any(map(is_key_column, header)):
        raise DataError(f"{place} cannot be sampled: its first line names no customerId column; check s3_key")
    whole = (dict(zip(header, cells, strict=True)) for cells in lines if len(cells) == len(header))
    return list(islice(whole, SAMPLE_ROWS))


def _compared(attributes: Sequence[Registered], rows: Sequence[Row]) -> tuple[Attribute, ...]:
    columns = {name for row in rows for name in row}
    return tuple(
        one for one in usable(attributes) if one.name in columns and not one.archived and not is_key_column(one.name)
    )


def _customer_id(row: Row) -> str:
    found = next((cell for name, cell in row.items() if is_key_column(name)), "")
    return "" if found in UNADDRESSABLE or len(found) > MAX_ID else found


def sample_path(s3_key: str) -> str:
    """Where staging has what is remembered of a file."""
    return f"samples/{hashlib.sha256(s3_key.encode()).hexdigest()[:32]}.json"
