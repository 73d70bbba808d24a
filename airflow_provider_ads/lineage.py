"""
OpenLineage metadata about imports, and about the files that tasks read and write.

This module needs the OpenLineage provider, which is optional. Operators import it only when an event is created.
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
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_metrics_input_dataset,
    input_statistics_input_dataset,
)

from airflow_provider_ads.discovery.import_task import ImportTask

__all__ = ["IMPORT_FACET", "lineage_of_export", "lineage_of_imports", "lineage_of_preparation"]

#: Run facet with the import's summary, because no standard facet has fields for its counts.
#: https://openlineage.io/docs/spec/facets/custom-facets
IMPORT_FACET = "awsDiscovery_import"


def lineage_of_imports(import_tasks: Sequence[ImportTask], as_list: bool) -> OperatorLineage[Any, Any]:
    """
    Return the lineage of a task that starts imports.

    :param import_tasks: the imports as last described; empty if the task has not started or found one.
    :param as_list: True if the task starts a list of imports, so that the facet has a list of summaries as ``tasks``.
    :return: the files as inputs, and the summary as a run facet. The facet has the schema of the base run facet, which
        allows any further property, because the service defines the fields of the summary.
    """
    inputs = [InputDataset(*_namespace_and_name(task.import_url)) for task in import_tasks if task.import_url]
    lineage: OperatorLineage[Any, Any] = OperatorLineage(inputs=inputs)
    if import_tasks:
        summaries = [task.summary() for task in import_tasks]
        properties = {"tasks": summaries} if as_list else summaries[0]
        lineage.run_facets[IMPORT_FACET] = RunFacet().with_additional_properties(**properties)
    return lineage


def lineage_of_export(urls: Sequence[str]) -> OperatorLineage[Any, Any]:
    """
    Return the lineage of a task that exports files.

    :param urls: the URLs of the files that were written.
    :return: the files as outputs.
    """
    return OperatorLineage(outputs=[OutputDataset(*_namespace_and_name(url)) for url in urls])


def lineage_of_preparation(source_url: str, report: Mapping[str, Any] | None) -> OperatorLineage[Any, Any]:
    """
    Return the lineage of a task that prepares a file for imports.

    :param source_url: the URL of the file that was read.
    :param report: the report of the preparation; None if it failed.
    :return: the file as an input, with metrics of its columns; the parts and the file of quarantined rows as outputs,
        with their numbers of rows, the sizes of the parts, and the source columns of each column.
    """
    source = InputDataset(*_namespace_and_name(source_url))
    if report is None:
        return OperatorLineage(inputs=[source])
    columns = [column for column in report["columns"] if column["header"]]
    if report["rows_read"]:
        source.inputFacets = {
            "inputStatistics": input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                rowCount=report["rows_read"]
            ),
            "dataQualityMetrics": data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
                columnMetrics={column["header"]: _metrics(column) for column in columns}, rowCount=report["rows_read"]
            ),
        }
    outputs = [_output(part["url"], part["rows"], part["size_bytes"]) for part in report["parts"]]
    if columns:
        lineage = _column_lineage(source, columns)
        for output in outputs:
            output.facets = {"columnLineage": lineage}
    if report["quarantine_url"]:
        outputs.append(_output(report["quarantine_url"], report["rows_quarantined"]))
    return OperatorLineage(inputs=[source], outputs=outputs)


def _metrics(column: Mapping[str, Any]) -> data_quality_metrics_input_dataset.ColumnMetrics:
    """Return the metrics of a column; its numbers are in the template's unit."""
    median = column["median"]
    return data_quality_metrics_input_dataset.ColumnMetrics(
        nullCount=column["empty"],
        min=column["minimum"],
        max=column["maximum"],
        quantiles={} if median is None else {"0.5": median},
    )


def _column_lineage(
    source: InputDataset, columns: Sequence[Mapping[str, Any]]
) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    inputs: dict[str, list[column_lineage_dataset.InputField]] = {}
    for column in columns:
        field = column_lineage_dataset.InputField(source.namespace, source.name, column["header"])
        inputs.setdefault(column["column"], []).append(field)
    return column_lineage_dataset.ColumnLineageDatasetFacet(
        fields={name: column_lineage_dataset.Fields(inputFields=fields) for name, fields in inputs.items()}
    )


def _output(url: str, rows: int | None, size: int | None = None) -> OutputDataset:
    statistics = OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)
    return OutputDataset(*_namespace_and_name(url), outputFacets={"outputStatistics": statistics})


def _namespace_and_name(url: str) -> tuple[str, str]:
    """Return the namespace and name of an S3 object according to https://openlineage.io/docs/spec/naming."""
    bucket_name, _, key = url.removeprefix("s3://").partition("/")
    return f"s3://{bucket_name}", key
