"""What CHANGING.md and docs/architecture.md name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "optimove_provider"
PAGES = ["CHANGING.md", "docs/architecture.md"]
NAMED = re.compile(r"`((?:[a-z_0-9]+/)+[a-z_0-9]*(?:\.py|\.md|\.toml|\.txt)?|[a-z_0-9]+\.(?:py|toml))`")


def named(page):
    return sorted(set(NAMED.findall(ROOT.joinpath(page).read_text("utf-8"))))


@pytest.mark.parametrize(("page", "path"), [(page, path) for page in PAGES for path in named(page)])
def test_a_path_that_is_named_is_there(page, path):
    places = [ROOT / path, PACKAGE / path, PACKAGE / f"{path}.py", PACKAGE / "loads" / f"{path}.py"]
    places += [PACKAGE / "loads" / path, PACKAGE / "records" / path, PACKAGE / "records" / f"{path}.py"]
    beside = [*PACKAGE.glob(f"*/{path}"), *PACKAGE.glob(f"*/*/{path}")]
    assert beside or any(place.exists() for place in places), f"{page} names {path}"
