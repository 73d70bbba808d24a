"""What runs of the Dags ``pipeline`` and ``lineage`` prepare, each a file of S3."""

from __future__ import annotations

import csv
import io
import zipfile

from airflow_provider_ads.discovery.rvtools import REQUIRED_SHEETS
from sample_inventories.rvtools_export import make_rvtools_export

__all__ = ["FEW_ROWS", "HEADER", "OUT_OF_RANGE", "QUARANTINED", "ROWS", "SOURCES"]

HEADER = "ExternalId,HostName,RAM.TotalSizeInMB\r\n"

#: Enough for three parts.
ROWS = [f'{number},"web, ""{number}""\r\n東京",1024\r\n' for number in range(6_000)]

#: What is seen before it is sent, and what AWS alone knows.
QUARANTINED = "a,web a,much\r\n"
OUT_OF_RANGE = f"b,web b,{2**64 - 1}\r\n"

#: What the Dag ``lineage`` prepares.
FEW_ROWS = HEADER + "".join(ROWS[:3]) + QUARANTINED + OUT_OF_RANGE + "".join(ROWS[3:6])

SERVERS = [["VM", "VM UUID"], *(["web server", f"uuid-{number}"] for number in range(5))]


def _as_csv_files() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for sheet in REQUIRED_SHEETS:
            text = io.StringIO(newline="")
            csv.writer(text).writerows(SERVERS)
            archive.writestr(f"export/RVTools_tab{sheet}.csv", text.getvalue())
    return content.getvalue()


SOURCES: dict[str, str | bytes] = {
    "good.csv": HEADER + "".join(ROWS),
    "with-bad-rows.csv": HEADER + "".join(ROWS[:3_000]) + QUARANTINED + OUT_OF_RANGE + "".join(ROWS[3_000:]),
    "semicolons.csv": HEADER.replace(",", ";") + "1;web1;1024\r\n",
    "rvtools.zip": _as_csv_files(),
    "rvtools.xlsx": make_rvtools_export(servers=5),
}
