"""Which files a load has begun, and how the next one goes up."""

import logging
import re
from collections.abc import Iterator

from optimove_provider.clients.s3 import NotPermitted, NotTaken
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.file import UploadFile
from optimove_provider.loads.upload.multipart import MultipartFile
from optimove_provider.loads.upload.single_put import PutFile

log = logging.getLogger(__name__)
_PROGRESS = re.compile(r"upload-(\d+)\.json")


def _resume(to: Destination, number: int) -> UploadFile | None:
    """The file that staging remembers, if it does."""
    found = to.staging.read(to.progress_path(number))
    if not found:
        return None
    return PutFile.read(to, number, found) if found.get("method") == "put" else MultipartFile.read(to, number, found)


def files_of(to: Destination) -> Iterator[UploadFile]:
    """The files that staging remembers of a load, by whomever they are sent."""
    found = map(_PROGRESS.fullmatch, to.staging.names(f"loads/{to.load_id}"))
    for number in sorted(int(one[1]) for one in found if one):
        if file := _resume(to, number):
            yield file


def open_file(to: Destination, number: int) -> UploadFile:
    """A file that takes text from its beginning: one that an earlier try began, or a new one."""
    earlier = _resume(to, number)
    if earlier and earlier.may_be_visible:
        return PutFile.begin(to, number, earlier) if isinstance(earlier, PutFile) else earlier
    if to.goes_whole:
        if isinstance(earlier, MultipartFile):
            earlier.abort()
        return PutFile.begin(to, number)
    return earlier if isinstance(earlier, MultipartFile) else _begin(to, number)


def _begin(to: Destination, number: int) -> UploadFile:
    """A new upload in parts or, where that is refused and the connection does not insist on it, one PUT."""
    try:
        return MultipartFile.begin(to, number)
    except (NotPermitted, NotTaken) as error:  # one PUT is what is documented; it tells whether it was about parts
        if to.method != "auto":
            raise
        log.warning("%s is put whole, since an upload in parts was refused: %s", to.place(number), error)
        return PutFile.begin(to, number)
