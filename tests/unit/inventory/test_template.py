from __future__ import annotations

from airflow_provider_ads.inventory.template import (
    IDENTITY_COLUMNS,
    IDENTITY_PAIR,
    LIST_COLUMNS,
    NUMERIC_COLUMNS,
    TEMPLATE_COLUMNS,
    UNITS,
)


def test_the_template_has_34_columns() -> None:
    assert len(TEMPLATE_COLUMNS) == len(set(TEMPLATE_COLUMNS)) == 34
    assert {*IDENTITY_COLUMNS, *IDENTITY_PAIR, *LIST_COLUMNS, *NUMERIC_COLUMNS} < set(TEMPLATE_COLUMNS)


def test_the_unit_with_factor_1_is_the_one_in_the_column_s_name() -> None:
    own = {column: next(unit for unit, factor in units.items() if factor == 1) for column, units in UNITS.items()}
    assert {column: unit for column, unit in own.items() if unit == "MB"}.keys() == {
        column for column in NUMERIC_COLUMNS if "InMB" in column
    }
    assert {column: unit for column, unit in own.items() if unit == "KB"}.keys() == {
        column for column in NUMERIC_COLUMNS if "InKB" in column
    }
    assert {column: unit for column, unit in own.items() if unit == "%"}.keys() == {
        column for column in NUMERIC_COLUMNS if "Pct" in column
    }
