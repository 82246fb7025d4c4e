"""Runs the Python blocks of the pages on real Airflow: what they make is made, with the parameters that they show."""

import ast
import importlib
import inspect
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, Param

from tests.support.operators import OPERATORS

MODULES = ("assets", "notifications.load", "operators.approval", "operators.replay", "options")
NEEDED = {
    "data_connection_uuid": "34f8cfca-85fa-444f-97b2-a5b8cbff6907",
    "primary_key": "customer_id",
    "source": "customers.csv",
    "table_id": 678,
}
"""What stands for the dots of `Operator(..., a_parameter=...)`, where the block does not say it."""


def names() -> dict[str, Any]:
    """What a block may use without importing it: what its page is about."""
    known: dict[str, Any] = {one.__name__: one for one in OPERATORS}
    for name in MODULES:
        module = importlib.import_module(f"optimove_provider.{name}")
        known |= {key: value for key, value in vars(module).items() if not key.startswith("_")}
    return known | {
        "DAG": DAG,
        "Param": Param,
        "SmtpNotifier": SmtpNotifier,
        "datetime": datetime,
        "timedelta": timedelta,
    }


class _Dots(ast.NodeTransformer):
    """`Operator(..., x=1)` becomes `filled(Operator, x=1)`."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value is ...:
            return ast.Call(ast.Name("filled", ast.Load()), [node.func, *node.args[1:]], node.keywords)
        return node


def filled(operator: Any, **given: Any) -> Any:
    """The operator, with what it needs besides."""
    parameters = inspect.signature(operator).parameters
    has_rows = "source" in given or "sql" in given
    needed = {
        name: value for name, value in NEEDED.items() if name in parameters and not (name == "source" and has_rows)
    }
    return operator(**{"task_id": "task", **needed, **given})


def run(text: str) -> dict[str, Any]:
    """Run a block as a DAG file; returns the names that it leaves. Raises whatever is wrong with it."""
    tree = ast.fix_missing_locations(_Dots().visit(ast.parse(text)))
    left = {**names(), "filled": filled}
    with DAG("of_the_page", schedule=None):
        exec(compile(tree, "<page>", "exec"), left)  # noqa: S102 - the blocks of our own pages
    return left
