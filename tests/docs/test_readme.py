"""What the README shows works."""

import re
from pathlib import Path

import pytest

from optimove_provider.demo import journey

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_dag_in_the_readme_is_a_dag(airflow_db, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "customers_to_optix.py").write_text(code)
    (dag,) = journey.load_dags(tmp_path).values()
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {"connection": {"upload"}, "upload": set()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in link]
    assert not [link for link in links if not (page.parent / link.partition("#")[0]).exists()]


def test_the_readme_is_one_screen_with_one_picture():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 80
    assert len(re.findall(r"!\[[^\]]+\]\(docs/pictures/", text)) == 1
