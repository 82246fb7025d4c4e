"""The site builds without a warning, and its reference has every parameter of every public class and function."""

import importlib
import inspect
import itertools
import re
import runpy
import warnings
from pathlib import Path

import pytest
from sphinx.cmd.build import build_main

import optimove_provider
from optimove_provider import get_provider_info

DOCS = Path(__file__).parents[2] / "docs"
CONF = runpy.run_path(str(DOCS / "conf.py"))
OF_TESTS = {"surroundings"}
"""A parameter by which tests bring their own clock."""


def public():
    """Name -> every class and function that a DAG may use."""
    found = {}
    for name in itertools.chain(*CONF["modules"]().values()):
        module = importlib.import_module(f"optimove_provider.{name}")
        own = {key: one for key, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__}
        shown = {key: one for key, one in own.items() if callable(one) and not key.startswith("_")}
        found |= {
            f"{module.__name__}.{key}": one for key, one in shown.items() if f"{name}.{key}" not in CONF["NOT_FOR_DAGS"]
        }
    return found


def parameters(one):
    """Those of a function; of a class also those that it takes from the classes of ours that it is made of."""
    makers = [one]
    if isinstance(one, type):
        ours = [cls for cls in inspect.getmro(one) if cls.__module__.startswith(optimove_provider.__name__)]
        makers = [cls for cls in ours if "__init__" in vars(cls)]
    found = {name: p for maker in makers for name, p in inspect.signature(maker).parameters.items()}
    return {name for name, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} - OF_TESTS


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site."""
    folder = tmp_path_factory.mktemp("site")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Sphinx tells its extensions of its next versions
        assert build_main(["--builder", "html", "--fail-on-warning", "--keep-going", "-q", str(DOCS), str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def described(site):
    """Name -> the HTML of its description."""
    found = {}
    for page in sorted(site.joinpath("reference").glob("*.html")):
        parts = re.split(r'<dt class="sig sig-object py" id="([\w.]+)">', page.read_text("utf-8"))
        found |= dict(zip(parts[1::2], parts[2::2], strict=True))
    return found


@pytest.mark.parametrize("name", public())
def test_every_parameter_stands_in_the_reference(described, name):
    assert name in described, "its module is on no page: REFERENCE of docs/conf.py"
    lacking = [one for one in parameters(public()[name]) if f"<strong>{one}</strong>" not in described[name]]
    assert not lacking, "give each a `:param name:` in the docstring"


def test_every_module_for_users_is_on_a_page():
    """All that the provider's metadata names but triggers, and what CHANGING.md calls options."""
    info = get_provider_info()
    kinds = (entry["python-modules"] for kind in ("operators", "sensors", "hooks") for entry in info[kind])
    named = {*itertools.chain(*kinds), "optimove_provider.notifications.load", "optimove_provider.options"}
    shown = {f"optimove_provider.{name}" for name in itertools.chain(*CONF["modules"]().values())}
    assert named <= shown


def test_there_is_much_to_describe():
    assert len(public()) > 25
    assert sum(len(parameters(one)) for one in public().values()) > 120


def test_every_page_is_there_with_its_contents(site):
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")} >= pages
    for page, says in (("changes", "0.1.0"), ("changing", "To add an operator"), ("example-dags", "optix_watched")):
        assert says in site.joinpath(f"{page}.html").read_text("utf-8")


def test_template_fields_and_results_are_told(described):
    upload = described["optimove_provider.operators.optix.OptixUploadOperator"]
    assert re.search(r"May be templates:.*>dry_run<", upload, re.DOTALL)
    assert "the account: load_id, state" in upload
    assert "<strong>sync_log</strong>" in upload
