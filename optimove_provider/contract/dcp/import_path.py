"""Where in the bucket a table's files go: its `s3_path`, which is opaque, and has to be a path. No I/O here.

No page says what the path is made of; the reference prints dcp/567/678. So whatever names a folder is taken as it is,
but for slashes around it. What names none, or to one reader another one than to the next, is refused: the bucket is
shared, and nothing is uploaded beside a table's own folder.
"""

import unicodedata

from optimove_provider.contract.wire.errors import SettingsError

MAX_FOLDER_BYTES = 960
"""S3 takes keys of 1024 bytes of UTF-8, and a file has a name of its own."""
_NO_NAMES = frozenset({"null", "none", "nil", "nan", "undefined"})
"""What programs write where there is nothing."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that do not show, or turn what follows around."""


def import_folder(s3_path: str) -> str:
    """The folder, without slashes around it. Raises SettingsError where the path names none of the table's own."""
    folder = s3_path.strip("/")
    if not any(map(_shows, folder)) or folder.strip().lower() in _NO_NAMES:
        raise SettingsError(
            f"the table names no folder of its own for imports (its s3_path is {s3_path!r:.200}), and nothing is "
            "uploaded to the root of a bucket: ask the vendor, or look at the table in the vendor's pages"
        )
    if _is_odd(folder):
        raise SettingsError(
            f"the table's s3_path {s3_path!r:.200} is no folder for imports, and nothing is uploaded where it leads: "
            "expected at most 960 bytes, without characters that do not show, without backslashes, and without parts "
            "that are empty, . or .., or begin or end with a blank; ask the vendor"
        )
    return folder


def _shows(character: str) -> bool:
    return character not in "/." and not character.isspace() and unicodedata.category(character) not in _UNSEEN


def _is_odd(folder: str) -> bool:
    if len(folder.encode("utf-8", "surrogatepass")) > MAX_FOLDER_BYTES or "\\" in folder:
        return True
    parts = folder.split("/")
    leads_away = any(part in ("", ".", "..") or part != part.strip() for part in parts)
    return leads_away or any(unicodedata.category(one) in _UNSEEN for one in folder)
