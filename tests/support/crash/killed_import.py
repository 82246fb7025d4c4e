"""An import in a process of its own, which a test kills: it hangs when it sends its third part.

Arguments: S3's URL, the staging folder, the load id, the path under which the file goes, the rows.
"""

import sys
import threading
from pathlib import Path

from tests.support.s3_target import Calls, Target, many, of, s3_client

if __name__ == "__main__":
    url, folder, load_id, s3_path, rows = sys.argv[1:]

    def hang(count: int) -> None:
        if count > 2:
            threading.Event().wait()

    with s3_client(url) as s3, Calls(s3, "UploadPart", hang):
        Target(s3, Path(folder), load_id, s3_path).run(of(b"".join(many(int(rows)))))
