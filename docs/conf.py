"""How Sphinx builds the site from the pages beside this file: `make docs`.

The reference is made from the docstrings of the package, so the build imports Airflow.
"""

import inspect
import os
import re
import sys
import tempfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "optimove_provider"
sys.path.insert(0, str(ROOT))
# Airflow writes its settings into its home when it is imported.
home = tempfile.TemporaryDirectory(prefix="optimove-docs-")
os.environ.setdefault("AIRFLOW_HOME", home.name)

from optimove_provider import __version__  # noqa: E402 - found by the path above

project = "airflow-provider-optimove"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"optimove_provider {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

# A heading is linked to as on a code host: page.md#its-words.
myst_heading_anchors = 4
# Single backticks in docstrings are code, as in the pages.
default_role = "code"
# Types name things of Airflow and of the standard library, which are on no page here.
nitpicky = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
# One parameter a line.
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"


def own(cls: type) -> list[type]:
    """The class and those that it is made of, as far as they are this package's."""
    return [one for one in inspect.getmro(cls) if one.__module__.startswith("optimove_provider")]


def params(doc: str) -> dict[str, list[str]]:
    """name -> the lines of a docstring that begin with `:param name:`."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in inspect.cleandoc(doc).splitlines():
        if match := re.match(r":param (\w+):", line):
            name = match[1]
        elif not line.startswith(" "):
            name = ""
        if name:
            found.setdefault(name, []).append(line)
    return found


def complete(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """What a class takes from those that it is made of, what its task returns, and which fields may be templates.

    Of a module only what is in it is told: the page has a beginning of its own.
    """
    if what == "module":
        lines.clear()
    if what != "class":
        return
    inherited: dict[str, list[str]] = {}
    for cls in own(obj)[1:]:
        inherited |= {param: text for param, text in params(cls.__doc__ or "").items() if param not in inherited}
    told = params("\n".join(lines))
    lines[:] = [*lines[:-1], *(one for param, text in inherited.items() if param not in told for one in text)]
    execute = vars(obj).get("execute")
    if execute is not None and execute.__doc__:
        first, *more = inspect.cleandoc(execute.__doc__).replace("Return ", "", 1).splitlines()
        lines += [f":XCom: {first}", *(f"    {line}" for line in more)]
    if fields := getattr(obj, "template_fields", ()):
        lines += ["", f"*May be templates:* {', '.join(f'`{field}`' for field in fields)}."]
    lines.append("")


def leave_out(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Of tasks and notifiers a DAG's author sees the parameters alone; of hooks the methods too."""
    if what != "class":
        return None
    qualified = getattr(obj, "__qualname__", "")
    return True if re.match(r"\w+(Operator|Sensor|Notifier)\.", qualified) or not callable(obj) else None


ELSEWHERE = {"changes": "CHANGELOG.md", "changing": "CHANGING.md", "benchmarks": "benchmarks/README.md"}
"""page -> the file of the repository that it shows."""
REFERENCE = {
    "reference/optix": ("operators.optix*", "operators.sharded", "operators.source_parts"),
    "reference/dcp": ("operators.dcp*", "operators.csv"),
    "reference/sensors": ("sensors.*",),
    "reference/notifiers": ("notifications.*",),
    "reference/options": ("options",),
    "reference/hooks": ("hooks.*",),
    "reference/functions": ("assets", "operators.*", "addresses"),
}
"""page -> modules whose docstrings it shows; each stands on the first page that names it."""
NOT_FOR_DAGS = {
    "hooks.connection_fields",
    "hooks.s3",
    "notifications.state",
    "assets.sanitize",
    "notifications.load.log_notice",
    "operators.replay.act_for",
    "operators.optix.load_of",
    "operators.sharded.most_at_a_time",
    "options.Group",
}
"""Modules of these packages, and names in their modules, that nobody's DAG imports."""
LINKS = {
    "../CHANGELOG.md": "changes.md",
    "../CHANGING.md": "changing.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../dags": "example-dags.md",
}


def as_page(app: Any, page: str, source: list[str]) -> None:
    """Pages are written to be read in the repository too: here their links lead to pages, and not to files beside them.

    A code host draws the diagrams that are text; here the table below each says the same.
    """
    text = source[0]
    if page in ELSEWHERE:
        text = ROOT.joinpath(ELSEWHERE[page]).read_text("utf-8").replace("](docs/", "](").replace("](../docs/", "](")
    if page == "example-dags":
        text += "".join(example(path) for path in sorted(ROOT.glob("dags/*.py")))
    text += "".join(reference(name) for name in modules().get(page, ()))
    for link, leads_to in LINKS.items():
        text = text.replace(f"]({link})", f"]({leads_to})").replace(f"]({link}#", f"]({leads_to}#")
    text = re.sub(r"\]\(\.\./dags/(\w+)\.py\)", r"](example-dags.md#\1)", text)
    source[0] = re.sub(r"```mermaid\n.*?```\n", "", text, flags=re.DOTALL)


@cache
def modules() -> dict[str, list[str]]:
    """page -> the modules that it shows, as names within the package."""
    files = sorted(path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.glob("**/*.py"))
    names = [path.as_posix().replace("/", ".") for path in files if not path.name.startswith("_")]
    shown: dict[str, list[str]] = {page: [] for page in REFERENCE}
    for name in names:
        pages = [page for page, wanted in REFERENCE.items() if any(fnmatch(name, pattern) for pattern in wanted)]
        if pages and name not in NOT_FOR_DAGS:
            shown[pages[0]].append(name)
    return shown


def reference(name: str) -> str:
    """The docstrings of a module."""
    left_out = ", ".join(one.rpartition(".")[2] for one in NOT_FOR_DAGS if one.rpartition(".")[0] == name)
    excluded = f"\n   :exclude-members: {left_out}" if left_out else ""
    return f"\n```{{eval-rst}}\n.. automodule:: {PACKAGE.name}.{name}{excluded}\n```\n"


def example(path: Path) -> str:
    """A DAG file as a section."""
    return f"\n## {path.stem}\n\n```python\n{path.read_text('utf-8')}```\n"


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", complete)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("source-read", as_page)
