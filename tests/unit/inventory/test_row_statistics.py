from __future__ import annotations

import pytest

from airflow_provider_ads.inventory.row_statistics import RowStatistics


def statistics(**columns: list[str]) -> RowStatistics:
    """Return the statistics of these cells; ``__`` in a column's name stands for a dot."""
    result = RowStatistics()
    cells = {name.replace("__", "."): values for name, values in columns.items()}
    result.add(cells, len(next(iter(cells.values()))))
    return result


def test_rows_with_equal_external_ids_or_identities_are_duplicates() -> None:
    ids = statistics(ExternalId=["a", "a", "b", "", ""], HostName=["1", "2", "3", "4", "5"])
    assert ids.duplicate_rows == 1
    assert ids.warnings() == [
        "Rows with the identities of an earlier row, which AWS merges into one server: 1, such as 'a'."
    ]
    assert statistics(HostName=["1", "1", "1"], IPAddress=["10.0.0.1", "10.0.0.1", ""]).duplicate_rows == 1


def test_addresses_of_several_rows_are_shared() -> None:
    shared = statistics(HostName=["1", "2", "3"], IPAddress=["10.0.0.1, 10.0.0.9", "10.0.0.9", "10.0.0.9"])
    assert shared.shared_addresses == 1
    assert shared.warnings() == [
        "IP addresses of several rows, whose servers AWS might merge: 1, such as 10.0.0.9 in 3 rows."
    ]


def test_several_values_for_one_tag_are_a_warning() -> None:
    tags = ["env:prod, env:test", "env:prod", "env:prod, env:prod", "env:prod, tier:web, env:test", ""]
    assert statistics(HostName=["1", "2", "3", "4", "5"], Tags=tags).warnings() == [
        "Rows with several values for one tag, of which AWS might keep one: 2, such as for 'env'."
    ]


def test_impossible_numbers_are_warnings() -> None:
    assert statistics(
        HostName=["1", "2"],
        CPU__UsagePct__Avg=["100", "101"],
        RAM__TotalSizeInMB=["1024", ""],
        RAM__UsedSizeInMB__Avg=["1025", "9"],
    ).warnings() == [
        "Rows whose CPU.UsagePct.Avg is more than 100 %: 1.",
        "Rows whose RAM.UsedSizeInMB.Avg is more than RAM.TotalSizeInMB: 1.",
    ]


@pytest.mark.parametrize(
    ("rows", "applications", "warning"),
    [
        (401, ["CRM"] * 401, "Application 'CRM' has 401 servers; AWS allows 400."),
        (1_001, [f"app-{n}" for n in range(1_001)], "The rows name 1,001 applications; an account can have 1,000."),
        (10_001, [""] * 10_001, "There are 10,001 rows; an account can hold 10,000 imported servers unless"),
        (25_001, [""] * 25_001, "There are 25,001 rows; an account can hold 25,000 import records."),
    ],
)
def test_exceeding_a_quota_is_a_warning(rows: int, applications: list[str], warning: str) -> None:
    result = statistics(HostName=[f"web{n}" for n in range(rows)], Applications=applications)
    assert [text for text in result.warnings() if text.startswith(warning)]
    assert len(result.warnings()) == 1


def test_the_first_25_000_rows_are_examined() -> None:
    result = statistics(HostName=[f"web{n}" for n in range(25_000)])
    result.add({"HostName": ["web1", "web1"]}, 2)
    assert (result.rows, result.duplicate_rows) == (25_002, 0)
