from __future__ import annotations

import pytest

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.template import ImportFileError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_file_bytes", value) for value in (0, IMPORT_FILE_MAX_BYTES + 1, "1000", True)),
        ("on_invalid_rows", "ignore"),
        ("column_mapping", "HostName"),
        ("delimiter", ""),
        ("delimiter", ";;"),
        ("delimiter", '"'),
        ("encoding", "utf-9"),
        ("encoding", 8),
        ("encoding", "rot13"),
        ("decimal", ";"),
        ("thousands", "_"),
        ("na_values", "x"),
        ("keep_default_na", "no"),
        ("sheet_name", 0),
        ("row_filter", ["a"]),
        ("tags", ["a"]),
        ("rvtools_as_template", 1),
    ],
)
def test_an_invalid_parameter_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        PrepareOptions(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["column_mapping", "row_filter", "tags"])
def test_options_that_change_rows_are_refused_for_rvtools_exports(name: str) -> None:
    values = {"column_mapping": {"VM": "HostName"}, "row_filter": {"VM": ["a"]}, "tags": {"a": "b"}}
    with pytest.raises(ImportFileError, match=rf"unchanged, so {name} cannot be applied.*rvtools_as_template=True"):
        PrepareOptions(**{name: values[name]}).refuse_for_rvtools()  # type: ignore[arg-type]
    PrepareOptions().refuse_for_rvtools()
