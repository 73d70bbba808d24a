from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.inventory.row_filter import RowFilter, check_row_filter
from airflow_provider_ads.inventory.template import ImportFileError

HEADER = ["Name", "Class", "Status"]
ROWS = [["web1", "Server", "Operational"], ["crm", "Service", "Operational"], ["web2", " server ", "Decommissioned"]]


def kept(row_filter: RowFilter) -> list[str]:
    return [row[0] for row in ROWS if row_filter.keeps(row)]


@pytest.mark.parametrize(
    ("conditions", "names", "filtered"),
    [
        (None, ["web1", "crm", "web2"], {}),
        ({"Class": ["SERVER"]}, ["web1", "web2"], {"Class": 1}),
        ({"Class": {"not": ["service"]}}, ["web1", "web2"], {"Class": 1}),
        ({"Class": ["Server"], "Status": ["Operational"]}, ["web1"], {"Class": 1, "Status": 1}),
        ({"Status": {"not": ["Retired", "Decommissioned"]}}, ["web1", "crm"], {"Status": 1}),
    ],
)
def test_rows_are_compared_ignoring_case_and_whitespace(
    conditions: Any, names: list[str], filtered: dict[str, int]
) -> None:
    row_filter = RowFilter(check_row_filter(conditions), HEADER)
    assert kept(row_filter) == names
    assert row_filter.filtered == filtered


@pytest.mark.parametrize("value", ["Retired", '="Retired"'])
def test_formulas_for_text_are_compared_as_their_text(value: str) -> None:
    row_filter = RowFilter(check_row_filter({"Status": {"not": [value]}}), HEADER)
    assert not row_filter.keeps(["web1", "Server", '="Retired"'])
    assert row_filter.warnings() == []


def test_placeholders_are_values() -> None:
    assert not RowFilter(check_row_filter({"Status": {"not": ["N/A"]}}), HEADER).keeps(["web1", "Server", "n/a"])


def test_a_listed_value_that_never_occurs_is_a_warning() -> None:
    row_filter = RowFilter(check_row_filter({"Status": ["Operational", "Live"]}), HEADER)
    kept(row_filter)
    assert row_filter.warnings() == ["row_filter: no row that reaches the filter has 'Live' under 'Status'."]


def test_a_header_must_be_in_the_file() -> None:
    with pytest.raises(ImportFileError, match=r"does not have: 'State'\. The file has 'Name', 'Class', 'Status'"):
        RowFilter(check_row_filter({"State": ["on"]}), HEADER)


@pytest.mark.parametrize(
    "value", ["Status", {"Status": "on"}, {"Status": []}, {"Status": [1]}, {"Status": {"in": ["a"]}}]
)
def test_another_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^row_filter must "):
        check_row_filter(value)
