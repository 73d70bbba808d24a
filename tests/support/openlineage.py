"""
A check of OpenLineage events against the specification.

No package contains the specification's schema, so this module states the parts that Airflow's events use.
https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

from __future__ import annotations

from typing import Any

import jsonschema

__all__ = ["check_event"]

TEXT = {"type": "string", "minLength": 1}
URI = {"type": "string", "pattern": "^https://"}
COUNT = {"type": "integer", "minimum": 0}

FACET = {"type": "object", "required": ["_producer", "_schemaURL"], "properties": {"_producer": URI, "_schemaURL": URI}}
FACETS = {"type": "object", "additionalProperties": FACET}


def facets(**known: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of facets; the named ones have these fields."""
    return {
        "allOf": [FACETS],
        "properties": {name: {"type": "object", "properties": fields} for name, fields in known.items()},
    }


def named(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with a namespace, a name, facets, and no properties but these."""
    properties = {"namespace": TEXT, "name": TEXT, "facets": FACETS, **properties}
    return {
        "type": "object",
        "required": ["namespace", "name"],
        "properties": properties,
        "additionalProperties": False,
    }


# https://openlineage.io/spec/facets/1-0-0/InputStatisticsInputDatasetFacet.json
# https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json
STATISTICS = {"rowCount": COUNT, "size": COUNT, "fileCount": COUNT}

RUN_EVENT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"},
        "producer": URI,
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": FACETS},
        },
        "job": named(),
        "inputs": {"type": "array", "items": named(inputFacets=facets(inputStatistics=STATISTICS))},
        "outputs": {"type": "array", "items": named(outputFacets=facets(outputStatistics=STATISTICS))},
    },
}


def check_event(event: Any) -> None:
    """
    Check an event of a run, as it was sent.

    :raises jsonschema.ValidationError: it violates the specification.
    """
    jsonschema.Draft202012Validator(RUN_EVENT, format_checker=jsonschema.FormatChecker()).validate(event)
