"""`python -m optimove_provider.emulator`: both APIs and S3 on this machine until it is interrupted."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.emulator.api.routes import PREFIXES
from optimove_provider.emulator.model.state import API_KEY, AWS_ACCESS_KEY, AWS_SECRET_KEY, BRAND_KEY, TOKEN
from optimove_provider.emulator.server import EmulatorServer

DEFAULT_PORT = 8099


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code: 1 if it could not start."""
    parser = argparse.ArgumentParser(prog="python -m optimove_provider.emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="S3 takes the next one (default: %(default)s)")
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name under which the control routes may be asked, as in a container's network; may be repeated",
    )
    parser.add_argument(
        "--state-file",
        type=Path,
        metavar="FILE",
        help="keep what it holds in this file, and go on with that at the next start",
    )
    wanted = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with EmulatorServer(
            wanted.host, wanted.port, allowed_hosts=wanted.allowed_host, state_file=wanted.state_file
        ) as emulator:
            print(_welcome(emulator), flush=True)
            stop.wait()
    except (OSError, OverflowError, RuntimeError) as error:
        print(
            f"the emulator cannot start on port {wanted.port}, with S3 on the next one: {error}",
            file=sys.stderr,
        )
        return 1
    return 0


def _welcome(emulator: EmulatorServer) -> str:
    return "\n".join(
        (
            f"start page          {emulator.url}/_emulator/",
            f"Opti-X              {emulator.url}{PREFIXES[optix.API]} ({API_KEY}, {BRAND_KEY})",
            f"DCP                 {emulator.url}{PREFIXES[dcp.API]} ({TOKEN})",
            f"upload_history_url  {emulator.url}{PREFIXES[dcp.HISTORY_API]}{{table_id}}",
            f"S3                  {emulator.s3_url} (bucket {dcp.IMPORT_BUCKET}, with the keys of a table or, for an "
            f"aws_conn_id, {AWS_ACCESS_KEY} and {AWS_SECRET_KEY})",
            f"Ctrl-C stops it. {emulator.state.keeping}",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
