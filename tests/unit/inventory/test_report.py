from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.inventories import CSV_FILES, pack, prepare

CONTENT = (
    "Servers\nServer Name;IPAddress;RAM;Owner;Tags\n"
    + "web1;10.0.0.1;4;me;x\n" * 1_499
    + ";;;me;x\nweb2;10.0.0.2;4;you;x\nweb3;10.0.0.1;16;me\nweb4;;;me;x\n"
)
PARAMETERS: dict[str, Any] = {
    "column_mapping": {
        "Server Name": "HostName",
        "RAM": {"column": "RAM.TotalSizeInMB", "unit": "GB"},
        "Tags": None,
    },
    "on_invalid_rows": "quarantine",
    "row_filter": {"Owner": ["me", "them"]},
    "tags": {"a": "b"},
}


def test_report_of_a_csv_file_is_json_safe(tmp_path: Path) -> None:
    prepared = prepare(CONTENT, tmp_path, **PARAMETERS)
    assert json.loads(json.dumps(prepared.report("s3://inventory/prepared/"))) == {
        "file_classification": "IMPORT_TEMPLATE",
        "source_format": "CSV in UTF-8 with semicolons",
        "rows_read": 1_503,
        "rows_written": 1_501,
        "rows_quarantined": 1,
        "rows_filtered": {"Owner": 1},
        "rows_short": 1,
        "duplicate_rows": 1_498,
        "shared_addresses": 1,
        "parts": [{"url": "s3://inventory/prepared/part-0001.csv", "rows": 1_501, "size_bytes": 36_056}],
        "quarantine_url": "s3://inventory/prepared/quarantine.csv",
        "columns": [
            column("Server Name", "HostName", empty=1),
            column("IPAddress", "IPAddress", empty=2),
            column("RAM", "RAM.TotalSizeInMB", "GB", converted=1_500, empty=2, invalid=0, numbers=(4096, 4096, 16384)),
            column("", "Tags", converted=1_501),
        ],
        "columns_mapped": {"Server Name": "HostName", "IPAddress": "IPAddress", "RAM": "RAM.TotalSizeInMB"},
        "columns_ignored": ["Tags"],
        "columns_unknown": [],
        "lines_skipped": ["Servers"],
        "warnings": [
            "row_filter: no row that reaches the filter has 'them' under 'Owner'.",
            "Rows with the identities of an earlier row, which AWS merges into one server: 1,498.",
            "IP addresses of several rows, whose servers AWS might merge: 1, such as 10.0.0.1 in 1,500 rows.",
        ],
    }


def column(
    header: str,
    name: str,
    unit: str | None = None,
    converted: int = 0,
    empty: int = 0,
    invalid: int = 0,
    numbers: tuple[float | None, ...] = (None, None, None),
) -> dict[str, object]:
    figures = dict(zip(("minimum", "median", "maximum"), numbers, strict=True))
    counts = {"converted": converted, "empty": empty, "invalid": invalid}
    return {"header": header, "column": name, "unit": unit, **counts, **figures}


def test_the_log_shows_tables(tmp_path: Path) -> None:
    prepared = prepare(CONTENT, tmp_path, max_file_bytes=20_000, **PARAMETERS)
    assert str(prepared).splitlines() == [
        "Source: CSV in UTF-8 with semicolons",
        "                 rows   bytes",
        "part-0001.csv     831  19,987",
        "part-0002.csv     670  16,112",
        "all parts       1,501  36,099",
        "quarantine.csv      1",
        "filtered            1",
        "rows read       1,503",
        "",
        "header       template column    unit  converted  empty  invalid    min  median     max",
        "Server Name  HostName                         0      1        0",
        "IPAddress    IPAddress                        0      2        0",
        "RAM          RAM.TotalSizeInMB  GB        1,500      2        0  4,096   4,096  16,384",
        "(tags)       Tags                         1,501      0        0",
        "'Tags' is ignored: column_mapping maps it to None",
        "'Servers' is ignored: it is above the header",
        "Rows filtered by 'Owner': 1",
        "Rows without their last cells, which count as empty: 1",
        *(f"Warning: {warning}" for warning in prepared.warnings),
    ]


def test_the_log_does_not_list_filters_that_removed_nothing(tmp_path: Path) -> None:
    row_filter = {"Class": {"not": ["Service"]}, "Status": ["Operational"]}
    prepared = prepare(
        "HostName,Class,Status\nweb1,Server,Operational\nweb2,Server,Retired\n", tmp_path, row_filter=row_filter
    )
    assert [line for line in str(prepared).splitlines() if "filtered by" in line] == ["Rows filtered by 'Status': 1"]


def test_an_rvtools_export_has_no_row_counts(tmp_path: Path) -> None:
    content = pack(CSV_FILES)
    prepared = prepare(content, tmp_path)
    assert prepared.report("s3://inventory/") == {
        "file_classification": "RVTOOLS_EXPORT",
        "source_format": "complete RVTools export, imported unchanged",
        "rows_read": None,
        "rows_written": None,
        "rows_quarantined": 0,
        "rows_filtered": {},
        "rows_short": 0,
        "duplicate_rows": 0,
        "shared_addresses": 0,
        "parts": [{"url": "s3://inventory/part-0001.zip", "rows": None, "size_bytes": len(content)}],
        "quarantine_url": None,
        "columns": [],
        "columns_mapped": {},
        "columns_ignored": [],
        "columns_unknown": [],
        "lines_skipped": [],
        "warnings": [],
    }
    source, *table = str(prepared).splitlines()
    assert source == "Source: complete RVTools export, imported unchanged"
    assert [line.split() for line in table] == [
        ["rows", "bytes"],
        ["part-0001.zip", f"{len(content):,}"],
    ]


def test_statistics_that_airflow_cannot_pass_to_a_task_are_only_in_the_log(tmp_path: Path) -> None:
    prepared = prepare(f"HostName,RAM.TotalSizeInMB\nweb1,4096\nweb2,8192\nweb3,{2**64}\n", tmp_path)
    _, memory = prepared.report("s3://inventory/prepared/")["columns"]
    assert (memory["minimum"], memory["median"], memory["maximum"]) == (4096, 8192, None)
    assert "1.844674407e+19" in str(prepared)
