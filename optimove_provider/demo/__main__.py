"""`python -m optimove_provider.demo run|up`: what `make demo` and `make up` start."""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    if not options.dags.is_dir():
        print(f"There is no folder {options.dags}: run this in a clone, or name --dags.", file=sys.stderr)
        return 2
    if options.command == "up":
        from optimove_provider.demo.keeping_up import keep_up

        return keep_up(options.folder / "up", options.dags, options.port, options.emulator_port)
    from optimove_provider.demo.showing import show

    return show(options.folder / "demo", options.dags)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m optimove_provider.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="CDNOW's customers into both stores, then compared value by value")
    up = commands.add_parser("up", help="Airflow and the emulator until Ctrl-C, with what they held before")
    for command in (run, up):
        command.add_argument("--dags", type=Path, default=ROOT / "dags", help="default: %(default)s")
        command.add_argument(
            "--folder",
            type=Path,
            default=ROOT / ".run",
            help="for all state; `run` empties its own (default: %(default)s)",
        )
    _add_port(up, "--port", "UP_PORT", 8080, "Airflow's port")
    _add_port(up, "--emulator-port", "UP_EMULATOR_PORT", 8099, "the emulator's port; its S3 takes the next one")
    return parser


def _add_port(parser: argparse.ArgumentParser, flag: str, variable: str, default: int, text: str) -> None:
    parser.add_argument(
        flag, type=int, default=os.environ.get(variable, default), help=f"{text} (${variable}, else {default})"
    )


if __name__ == "__main__":
    sys.exit(main())
