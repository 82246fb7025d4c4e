"""Where the files of a load go: bucket, keys, how they are uploaded, and who keeps what was begun."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from optimove_provider.clients.s3 import Bucket
from optimove_provider.clients.settings import UploadMethod
from optimove_provider.contract.dcp.import_path import import_folder
from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)
MAX_FILE_BYTES = 9_900_000_000


def _warn(text: str) -> None:
    log.warning("%s", text)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the files of a load go, how, and where it is remembered how far they came.

    `first` is the number of the first file, where others of the load send those before it. `note` tells a person what
    is odd on the way. Raises SettingsError for an `s3_path` that is no folder.
    """

    bucket: Bucket
    s3_path: str
    load_id: str
    staging: Staging
    method: UploadMethod = "auto"
    note: Callable[[str], None] = _warn
    first: int = 1

    def __post_init__(self) -> None:
        import_folder(self.s3_path)

    def key(self, number: int) -> str:
        """The key of a file, numbered from 1."""
        return f"{import_folder(self.s3_path)}/optimove-{self.load_id}{f'-{number}' if number > 1 else ''}.csv"

    def place(self, number: int) -> str:
        """A file as people name it."""
        return f"s3://{self.bucket.name}/{self.key(number)}"

    def mark(self, number: int) -> str:
        """The metadata by which a file is known as this load's."""
        return f"{self.load_id}/{number}"

    def progress_path(self, number: int) -> str:
        """Where a file's progress is, in staging."""
        return f"loads/{self.load_id}/upload-{number}.json"

    def text_path(self, number: int) -> str:
        """Where the text of a file that goes up whole waits, in staging."""
        return f"loads/{self.load_id}/upload-{number}.csv"

    @property
    def goes_whole(self) -> bool:
        """Whether files are put whole: the connection says so, or an upload in parts was refused to this table."""
        if self.method != "auto":
            return self.method == "put"
        if remembered := self.staging.read_whole(self._method_path):
            log.info(
                "files of s3://%s/%s go up whole: %s. %s remembers it; upload_method of the connection overrides that",
                *(self.bucket.name, self.s3_path, remembered["why"], self.staging.url(self._method_path)),
            )
        return bool(remembered)

    def remember_put(self, why: str) -> None:
        """From now on files for this table are put whole, unless the connection says otherwise."""
        self.staging.write(self._method_path, {"upload_method": "put", "why": why})

    @property
    def _method_path(self) -> str:
        place = f"{self.bucket.name}/{self.s3_path}"
        return f"targets/upload-methods/{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"
