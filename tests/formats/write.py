"""`python -m tests.formats.write` keeps what this version stores, beside this file, for later versions to read.

What a version has written is never written again: users have files of it. Where the format changes once more before the
version is released, `--again` writes the next revision of it.
"""

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

from packaging.version import Version

from optimove_provider import __version__
from tests.formats import points, sync_log
from tests.formats.histories import WORLDS, lived
from tests.support.crash.dying import fate

HERE = Path(__file__).parent
SYNC_LOG = "sync_log.sql"


def kept_versions():
    """The folders of all versions, the oldest first."""
    return sorted((path.parent for path in HERE.glob("*/optix.json")), key=lambda path: Version(path.name))


def write(folder):
    """Keep what this version stores in a new folder."""
    folder.mkdir()
    (folder / SYNC_LOG).write_text(sync_log.written())
    for kind in WORLDS:
        with tempfile.TemporaryDirectory() as staging, fate() as one:
            found, told = lived(kind, Path(staging) / "staging", one)
        points.write(folder / f"{kind}.tar.xz", found)
        (folder / f"{kind}.json").write_text(json.dumps(told, indent=1) + "\n")


def folder_for(version, again):
    """Where a version is kept: its first revision, or, if that is there and `again` is asked for, the next one."""
    revisions = [one for one in kept_versions() if Version(one.name).public == version]
    if revisions and not again:
        sys.exit(f"{revisions[-1]} is there, and is never written again; --again writes the next one beside it")
    return HERE / (f"{version}+{len(revisions) + 1}" if revisions else version)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="the format has changed since, before this version is out")
    wanted = folder_for(__version__, parser.parse_args().again)
    logging.disable(logging.WARNING)
    write(wanted)
    print(f"{wanted}: {sum(path.stat().st_size for path in wanted.iterdir()):,} bytes")
