"""A process killed in the middle of an upload costs what was in flight, and leaves nothing half-done to be seen."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from optimove_provider.emulator import EmulatorServer
from tests.support.s3_target import Calls, Target, many, s3_client

ROOT = Path(__file__).parents[3]
ROWS = 400_000
PARTS = 5


def parts_of(target):
    record = target.staging.read(f"loads/{target.load_id}/upload-1.json")
    return record["parts"] if record else {}


def start(server, target):
    arguments = [server.s3_url, str(target.folder), target.load_id, target.s3_path, str(ROWS)]
    return subprocess.Popen([sys.executable, "-m", "tests.support.crash.killed_import", *arguments], cwd=ROOT)


def test_killed_in_the_middle_and_resumed(tmp_path):
    with EmulatorServer() as server, s3_client(server.s3_url) as s3:
        target = Target(s3, tmp_path)
        process = start(server, target)
        try:
            while len(parts_of(target)) < 2:
                assert process.poll() is None, "the import ended before it could be killed"
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        assert target.stored() == {}
        assert target.open_uploads() == [target.to.key(1)]
        with Calls(s3, "UploadPart") as parts, Calls(s3, "CreateMultipartUpload") as begun:
            report = target.run(b"".join(many(ROWS)))
        assert (parts.count, begun.count) == (PARTS - 2, 0)
        assert target.stored() == {target.to.key(1): b"".join(many(ROWS))}
        assert (report.state, report.accepted, target.open_uploads()) == ("uploaded", ROWS, [])
