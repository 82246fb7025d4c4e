"""Wheel and sdist build, tell who made them and where to read more, and install where nothing else is."""

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
PROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]


def uv(*arguments, **settings):
    return subprocess.run([UV, *arguments], check=True, stderr=subprocess.PIPE, text=True, **settings).stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with both, which were built without a warning."""
    folder = tmp_path_factory.mktemp("dist")
    cache = tmp_path_factory.mktemp("cache")  # one that lies in the tree, as make's, is warned of
    told = uv("build", "--out-dir", folder, ROOT, env={**os.environ, "UV_CACHE_DIR": str(cache)})
    assert "warn" not in told.lower(), told
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_the_metadata_says_who_where_and_for_whom(metadata):
    assert metadata["Author"] == PROJECT["authors"][0]["name"]
    assert metadata["Keywords"].split(",") == PROJECT["keywords"]
    assert metadata.get_all("Classifier") == PROJECT["classifiers"]
    urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL"))
    assert urls == PROJECT["urls"]
    assert {"Documentation", "Changelog"} <= set(urls)


def test_every_link_of_the_readme_is_absolute_and_leads_to_a_page_that_the_site_has(metadata):
    site = PROJECT["urls"]["Documentation"]
    links = re.findall(r"\]\(([^)]+)\)", metadata.get_payload())
    assert links
    for link in links:
        assert link.startswith("https://"), link
        page = link.removeprefix(site).partition("#")[0]
        if link.startswith(f"{site}_images/"):
            assert ROOT.joinpath("docs/pictures", page.removeprefix("_images/")).exists(), link
        elif link.startswith(site):
            assert ROOT.joinpath("docs", page.replace(".html", ".md") or "index.md").exists(), link


def test_the_wheel_has_what_runs_and_what_types_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = {str(path.relative_to(ROOT)) for path in ROOT.joinpath("optimove_provider").rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert "optimove_provider/py.typed" in files
    assert "optimove_provider/demo/data/CDNOW_LICENSE.txt" in files
    assert files <= names
    others = {name.partition("/")[0] for name in names - files}
    assert others == {"airflow_provider_optimove", f"airflow_provider_optimove-{metadata_version(wheel)}.dist-info"}


def metadata_version(wheel):
    return wheel.name.split("-")[1]


def test_the_sdist_has_what_tests_and_docs_need(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in (
        ".ci/run",
        "Makefile",
        "constraints/newest.txt",
        "docs/conf.py",
        "docs/pictures/sync-history-load.png",
    ):
        assert name in names
    assert "tests/test_package.py" in names
    assert not [name for name in names if name.startswith((".venv", ".run", "docs/_build"))]


def test_it_installs_where_nothing_is_and_airflow_shows_it(wheel, tmp_path):
    python = tmp_path / "venv/bin/python"
    uv("venv", "--python", sys.executable, tmp_path / "venv")
    uv("pip", "install", "--python", python, "--constraints", ROOT / "constraints/newest.txt", wheel)
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "home"),
    }
    shown = subprocess.run(
        [python.with_name("airflow"), "providers", "get", PROJECT["name"], "--full", "--output", "json"],
        check=True,
        capture_output=True,
        env=environment,
        cwd=tmp_path,
    )
    (info,) = json.loads(shown.stdout)
    assert info["package-name"] == PROJECT["name"]
    for told in ("name", "description", "integrations", "operators", "sensors", "hooks", "connection-types", "config"):
        assert info[told], told
