"""Where the files of a load go: bucket, keys, and who keeps what was begun."""

from dataclasses import dataclass

from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.state.staging import Staging

MAX_FILE_BYTES = 9_900_000_000


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the files of a load go, and where it is remembered how far they came.

    Raises SettingsError without an `s3_path`: the bucket is shared, and nothing belongs at its root.
    """

    bucket: Bucket
    s3_path: str
    load_id: str
    staging: Staging

    def __post_init__(self) -> None:
        if not self.s3_path.strip("/ ."):
            raise SettingsError(
                f"the table names no folder of its own for imports (its s3_path is {self.s3_path!r}), and nothing is "
                "uploaded to the root of a bucket: ask the vendor, or look at the table in the vendor's pages"
            )

    def key(self, number: int) -> str:
        """The key of a file, numbered from 1."""
        return f"{self.s3_path.rstrip('/')}/optimove-{self.load_id}{f'-{number}' if number > 1 else ''}.csv"

    def progress_path(self, number: int) -> str:
        """Where a file's progress is, in staging."""
        return f"loads/{self.load_id}/upload-{number}.json"
