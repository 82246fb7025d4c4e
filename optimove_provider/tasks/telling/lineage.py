"""What a load reads and writes, for OpenLineage. Imported only where Airflow has that provider."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    DatasetFacet,
    InputDataset,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
    RunFacet,
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)
from airflow.providers.openlineage.extractors import OperatorLineage
from attrs import define

from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.tasks.telling.events import asset_of

if TYPE_CHECKING:
    from optimove_provider.tasks.telling.story import Story

log = logging.getLogger(__name__)


@define
class LoadRunFacet(RunFacet):
    """The counts of a load's account, with its id and the state that it ended in."""

    loadId: str
    state: str
    rows: int
    accepted: int
    rejected: int
    unchanged: int
    stale: int
    deleted: int
    suppressed: int
    unsent: int
    evidence: str


def lineage_of(story: "Story", source: Any, sql: str | None, sql_conn_id: str | None) -> "OperatorLineage[Any, Any]":
    """Inputs, output with how many rows it took and its columns, and the account's counts."""
    inputs = [*_files(source), *(_tables(sql, sql_conn_id) if sql and sql_conn_id else ())]
    asset, account = asset_of(story), story.account()
    outputs = [_output(asset.uri, story)] if asset and story.state != "planned" else []
    names = ("state", "rows", *OUTCOMES, "evidence")
    facet = LoadRunFacet(loadId=story.load_id, **{name: account[name] for name in names})
    return OperatorLineage(inputs=inputs, outputs=outputs, run_facets={"optimove_load": facet})


def without_rows(story: "Story") -> None:
    """Say less in the error that ended the load: it may quote cells, and OpenLineage publishes its text.

    By now the log and the callbacks have had the whole of it; the load's report keeps it.
    """
    error = story.failure
    if error is None:
        return
    why = error.__cause__ or error
    error.args = (f"load {story.load_id} failed with {type(why).__name__}: its report and the task's log say why",)
    error.__cause__, error.__context__, error.__suppress_context__ = None, None, True


def _output(uri: str, story: "Story") -> OutputDataset:
    parts = urlsplit(uri)
    accepted = story.report.accepted if story.report else 0
    facets: dict[str, DatasetFacet] = {}
    if story.columns:
        fields = [SchemaDatasetFacetFields(name=name, type=kind or None) for name, kind in story.columns.items()]
        facets["schema"] = SchemaDatasetFacet(fields=fields)
    return OutputDataset(
        namespace=f"{parts.scheme}://{parts.netloc}",
        name=parts.path.lstrip("/"),
        facets=facets,
        outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=accepted)},
    )


def _files(source: Any) -> Iterator[InputDataset]:
    """The files of a source, by the names that OpenLineage gives storages; a list of rows is none."""
    names = [source] if isinstance(source, str) else source if isinstance(source, list | tuple) else []
    for name in names:
        if isinstance(name, str):
            parts = urlsplit(name)
            bucket = parts.netloc.rpartition("@")[2]  # before it stands a connection's id
            if parts.scheme in ("", "file"):
                yield InputDataset(namespace="file", name=parts.path)
            else:
                yield InputDataset(namespace=f"{parts.scheme}://{bucket}", name=parts.path.lstrip("/"))


def _tables(sql: str, conn_id: str) -> list[Dataset]:
    """The tables that a query names, by the names that other tasks' lineage has for them, where the hook can tell.

    Some hooks ask the warehouse for its default schema: where that fails there are none.
    """
    from airflow.providers.common.compat.sdk import BaseHook
    from airflow.providers.openlineage.sqlparser import get_openlineage_facets_with_sql

    try:
        hook = BaseHook.get_hook(conn_id)
        found = get_openlineage_facets_with_sql(hook, sql, conn_id, getattr(hook, "schema", None), use_connection=False)
    except Exception:
        log.warning("which tables the query of %s names is not known", conn_id, exc_info=True)
        return []
    return list(found.inputs) if found else []
