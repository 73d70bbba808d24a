from __future__ import annotations

import json
from pathlib import Path

from tests.support.inventories import CSV_FILES, pack, prepare

CONTENT = "Server Name,IPAddress,Owner,Tags\n" + "web1,10.0.0.1,me,x\n" * 1_500 + ",,me,x\n"
MAPPING = {"Server Name": "HostName", "Tags": None}


def test_report_of_a_csv_file_is_json_safe(tmp_path: Path) -> None:
    prepared = prepare(CONTENT, tmp_path, column_mapping=MAPPING, on_invalid_rows="quarantine")
    assert json.loads(json.dumps(prepared.report("s3://inventory/prepared/"))) == {
        "file_classification": "IMPORT_TEMPLATE",
        "rows_read": 1_501,
        "rows_written": 1_500,
        "rows_quarantined": 1,
        "parts": [{"url": "s3://inventory/prepared/part-0001.csv", "rows": 1_500, "size_bytes": 22_520}],
        "quarantine_url": "s3://inventory/prepared/quarantine.csv",
        "columns_mapped": {"Server Name": "HostName", "IPAddress": "IPAddress"},
        "columns_ignored": ["Tags"],
        "columns_unknown": ["Owner"],
    }


def test_the_log_shows_a_table(tmp_path: Path) -> None:
    prepared = prepare(CONTENT, tmp_path, column_mapping=MAPPING, max_file_bytes=15_020, on_invalid_rows="quarantine")
    assert str(prepared).splitlines() == [
        "                       rows         bytes",
        "part-0001.csv         1,000        15,020",
        "part-0002.csv           500         7,520",
        "all parts             1,500        22,540",
        "quarantine.csv            1",
        "rows read             1,501",
        "'Server Name' is imported as HostName",
        "'IPAddress' is imported as IPAddress",
        "'Tags' is ignored: column_mapping maps it to None",
        "'Owner' is ignored: it is not a template column",
    ]


def test_an_rvtools_export_has_no_row_counts(tmp_path: Path) -> None:
    content = pack(CSV_FILES)
    prepared = prepare(content, tmp_path)
    assert prepared.report("s3://inventory/") == {
        "file_classification": "RVTOOLS_EXPORT",
        "rows_read": None,
        "rows_written": None,
        "rows_quarantined": 0,
        "parts": [{"url": "s3://inventory/part-0001.zip", "rows": None, "size_bytes": len(content)}],
        "quarantine_url": None,
        "columns_mapped": {},
        "columns_ignored": [],
        "columns_unknown": [],
    }
    assert [line.split() for line in str(prepared).splitlines()] == [
        ["rows", "bytes"],
        ["part-0001.zip", f"{len(content):,}"],
    ]
