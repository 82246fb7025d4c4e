"""Where the files of a load go: bucket, keys, and who keeps what was begun."""

from dataclasses import dataclass

from optimove_provider.clients.s3 import Bucket
from optimove_provider.loads.state.staging import Staging

MAX_FILE_BYTES = 9_900_000_000


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the files of a load go, and where it is remembered how far they came."""

    bucket: Bucket
    s3_path: str
    load_id: str
    staging: Staging

    def key(self, number: int) -> str:
        """The key of a file, numbered from 1."""
        return f"{self.s3_path.rstrip('/')}/optimove-{self.load_id}{f'-{number}' if number > 1 else ''}.csv"

    def progress_path(self, number: int) -> str:
        """Where a file's progress is, in staging."""
        return f"loads/{self.load_id}/upload-{number}.json"
