"""`make bench` runs all benchmarks that can be run in seconds, and says why it leaves others out."""

import ast
from pathlib import Path

from benchmarks.__main__ import LEFT_OUT, SMALL

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def is_run_by_itself(path):
    """Whether a module does something if it is run: it ends with a test of its name."""
    last = ast.parse(path.read_text()).body[-1]
    return isinstance(last, ast.If) and "__name__" in ast.unparse(last.test)


def test_each_benchmark_is_run_at_a_small_size_or_left_out_for_a_reason():
    modules = {path.stem for path in BENCHMARKS.glob("*.py") if is_run_by_itself(path)} - {"__main__"}
    assert sorted([*SMALL, *LEFT_OUT]) == sorted(modules)
