"""
What an event of OpenLineage says of the files that tasks read and write, and of imports.

The OpenLineage provider need not be installed. This module needs it, so it is imported only for an event.
https://airflow.apache.org/docs/apache-airflow-providers-openlineage/stable/guides/developer.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.openlineage.facet import (
    InputDataset,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
    RunFacet,
)
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.facet_v2 import input_statistics_input_dataset

from airflow_provider_ads.discovery.import_task import ImportTask

__all__ = ["IMPORT_FACET", "lineage_of_import", "lineage_of_preparation"]

#: The facet of a run that started an import: the import's summary, whose counts no standard facet has a place for.
#: https://openlineage.io/docs/spec/facets/custom-facets
IMPORT_FACET = "awsDiscovery_import"


def lineage_of_import(import_tasks: Sequence[ImportTask]) -> OperatorLineage[Any, Any]:
    """
    Describe the import that a task has started.

    :param import_tasks: the import as last seen; nothing if the task got to know none.
    :return: its file as input, and its summary as a facet. The facet's schema is that of any run facet, which may have
        further properties, because these are the service's own: an ``ImportTask`` without its secrets.
    """
    lineage: OperatorLineage[Any, Any] = OperatorLineage()
    for task in import_tasks:
        if task.import_url:
            lineage.inputs.append(InputDataset(*_names(task.import_url)))
        lineage.run_facets[IMPORT_FACET] = RunFacet().with_additional_properties(**task.summary())
    return lineage


def lineage_of_preparation(source_url: str, report: Mapping[str, Any] | None) -> OperatorLineage[Any, Any]:
    """
    Describe how a file was prepared for imports.

    :param source_url: the file, which was read.
    :param report: what became of it; None if it could not be prepared.
    :return: the file as input, and the files that were written, also that of quarantined rows, as outputs, with the
        numbers of their rows where they have any, and the sizes of the parts.
    """
    source = InputDataset(*_names(source_url))
    if report is None:
        return OperatorLineage(inputs=[source])
    if report["rows_read"]:
        source.inputFacets = {
            "inputStatistics": input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                rowCount=report["rows_read"]
            )
        }
    outputs = [_written(part["url"], part["rows"], part["size_bytes"]) for part in report["parts"]]
    if report["quarantine_url"]:
        outputs.append(_written(report["quarantine_url"], report["rows_quarantined"]))
    return OperatorLineage(inputs=[source], outputs=outputs)


def _written(url: str, rows: int | None, size: int | None = None) -> OutputDataset:
    statistics = OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)
    return OutputDataset(*_names(url), outputFacets={"outputStatistics": statistics})


def _names(url: str) -> tuple[str, str]:
    """Namespace and name of an object of S3, as https://openlineage.io/docs/spec/naming has them."""
    bucket_name, _, key = url.removeprefix("s3://").partition("/")
    return f"s3://{bucket_name}", key
