from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.inventory import rvtools_template
from airflow_provider_ads.inventory.rvtools_template import RVToolsTable
from airflow_provider_ads.inventory.table import AmbiguousFileError
from sample_inventories.rvtools_export import make_rvtools_export
from tests.support.inventories import pack, prepare, read_csv, read_rows, refuse, sheets

Rows = Sequence[Sequence[object]]

#: A server with two adapters, one whose guest does not run, a template, and a placeholder, as RVTools 4 exports them.
SHEETS: dict[str, Rows] = {
    "vInfo": [
        [
            *("VM", "Powerstate", "Template", "SRM Placeholder", "DNS Name", "CPUs", "Memory", "Primary IP Address"),
            *("OS according to the configuration file", "OS according to the VMware Tools", "VM ID", "SMBIOS UUID"),
            *("VM UUID", "VI SDK UUID"),
        ],
        [
            *("web1", "poweredOn", "False", "False", "web1.example.com", 4, 16384, "10.0.0.1"),
            *("Other Linux (64-bit)", "Debian 12 (64-bit)", "vm-1", "420a-1", "500a-1", "vc-1"),
        ],
        ["t1", "poweredOff", "True", "False", "", 1, 1024, "", "Debian 12", "", "vm-2", "420a-2", "500a-2", "vc-1"],
        ["p1", "poweredOff", "False", "True", "", 1, 1024, "", "Debian 12", "", "vm-3", "420a-3", "500a-3", "vc-1"],
        ["web1", "poweredOff", "False", "False", "", 2, 8192, "", "Debian 11", "", "vm-4", "420a-4", "500a-4", "vc-1"],
    ],
    "vNetwork": [
        ["VM", "Mac Address", "IPv4 Address", "IPv6 Address", "VM ID", "VM UUID", "VI SDK UUID"],
        ["web1", "00:50:56:00:00:01", "10.0.0.1, 10.0.0.2", "fd00::1", "vm-1", "500a-1", "vc-1"],
        ["web1", "00:50:56:00:00:02", "10.1.0.1", "", "vm-1", "500a-1", "VC-1"],
        ["t1", "00:50:56:00:00:03", "", "", "vm-2", "500a-2", "vc-1"],
        ["web1", "00:50:56:00:00:04", "", "", "vm-4", "500a-4", "vc-1"],
    ],
    "vCpu": [
        ["VM", "CPUs", "Sockets", "VM ID", "VI SDK UUID"],
        ["web1", 4, 2, "vm-1", "vc-1"],
        ["web1", 2, 1, "vm-4", "vc-1"],
    ],
    "vMemory": [["VM", "Size MiB", "VM ID", "VI SDK UUID"], ["web1", 16384, "vm-1", "vc-1"]],
}

COLUMNS = [
    *("SMBiosId", "IPAddress", "MACAddress", "HostName", "VMware.MoRefId", "VMware.VCenterId"),
    *("CPU.NumberOfProcessors", "CPU.NumberOfLogicalCores", "OS.Name", "VMware.VMName", "RAM.TotalSizeInMB"),
]

CONVERTED = [
    [
        *("420a-1", "10.0.0.1, 10.0.0.2, fd00::1, 10.1.0.1", "00:50:56:00:00:01, 00:50:56:00:00:02"),
        *("web1.example.com", "vm-1", "vc-1", "2", "4", "Debian 12 (64-bit)", "web1", "16384"),
    ],
    ["420a-4", "", "00:50:56:00:00:04", "", "vm-4", "vc-1", "1", "2", "Debian 11", "web1", "8192"],
]


def as_csv(sheets: dict[str, Rows], delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    """Return a ZIP file of the sheets as CSV files."""
    return pack(
        {
            f"export/RVTools_tab{name}.csv": "".join(
                delimiter.join(f'"{cell}"' for cell in row) + "\r\n" for row in rows
            ).encode(encoding)
            for name, rows in sheets.items()
        }
    )


def as_xlsx(contents: dict[str, Rows], prefix: str = "") -> bytes:
    """Return the sheets as an .xlsx file."""
    return sheets(
        merged=(),
        **{
            prefix + name: [[cell == "True" if cell in ("True", "False") else cell for cell in row] for row in rows]
            for name, rows in contents.items()
        },
    )


def convert(content: bytes, folder: Path, **parameters: Any) -> list[dict[str, str]]:
    """Return the non-empty cells of the converted export by column."""
    prepared = prepare(content, folder, rvtools_as_template=True, **parameters)
    assert prepared.file_classification == "IMPORT_TEMPLATE"
    header = read_csv(folder / prepared.parts[0].name)[0]
    return [
        {column: cell for column, cell in zip(header, row, strict=True) if cell} for row in read_rows(prepared, folder)
    ]


def convert_vinfo(header: str, *rows: str, folder: Path, **sheets: str) -> list[dict[str, str]]:
    """Convert an export whose vInfo is this CSV file, and whose other sheets are these."""
    files = {"vInfo.csv": "\n".join([header, *rows])} | {f"{name}.csv": content for name, content in sheets.items()}
    return convert(pack({name: content.encode() for name, content in files.items()}), folder)


class TestForms:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(as_xlsx(SHEETS), id="xlsx"),
            pytest.param(as_xlsx(SHEETS, prefix="tab"), id="sheets named tabvInfo"),
            pytest.param(pack({"export/a.xlsx": as_xlsx(SHEETS)}), id="xlsx in ZIP"),
            pytest.param(as_csv(SHEETS), id="CSV"),
            pytest.param(as_csv(SHEETS, ";"), id="semicolons"),
            pytest.param(as_csv(SHEETS, "\t", "utf-16"), id="UTF-16 with tabs"),
        ],
    )
    def test_every_form_of_an_export_is_converted(self, tmp_path: Path, content: bytes) -> None:
        prepared = prepare(content, tmp_path, rvtools_as_template=True)
        assert read_csv(tmp_path / "part-0001.csv") == [COLUMNS, *CONVERTED]
        assert [path.name for path in tmp_path.iterdir()] == ["part-0001.csv"]
        assert prepared.rows_filtered == {"Template": 1, "SRM Placeholder": 1}
        assert prepared.source_format == "RVTools export, converted"
        assert prepared.columns_unknown == ("Powerstate", "VM UUID")

    def test_a_table_can_be_read_twice(self, tmp_path: Path) -> None:
        file = tmp_path / "export.zip"
        file.write_bytes(pack({"a.xlsx": as_xlsx(SHEETS)}))
        table = RVToolsTable(file)
        assert table.filtered == {"Template": 0, "SRM Placeholder": 0}
        assert table.header == [*COLUMNS, "Powerstate", "VM UUID"]
        for _ in range(2):
            assert [record.line for record in table] == [2, 5]
            assert table.filtered == {"Template": 1, "SRM Placeholder": 1}

    def test_the_sample_export(self, tmp_path: Path) -> None:
        rows = convert(make_rvtools_export(40), tmp_path)
        assert len(rows) == 40
        assert rows[0] == {
            "IPAddress": "10.30.0.2",
            "MACAddress": "00:50:56:00:00:01",
            "HostName": "app-001.example.com",
            "VMware.MoRefId": "vm-101",
            "VMware.VCenterId": "3a7f2c10-5b1d-4c57-9a0e-6f1b2c3d4e5f",
            "CPU.NumberOfProcessors": "1",
            "CPU.NumberOfLogicalCores": "2",
            "OS.Name": "Microsoft Windows Server 2022 (64-bit)",
            "VMware.VMName": "app-001",
            "RAM.TotalSizeInMB": "8192",
        }

    def test_an_encoding_that_is_not_certain(self, tmp_path: Path) -> None:
        content = pack({"vInfo.csv": "VM,DNS Name\nBüro,web1\n".encode("cp1252")})
        message = refuse(content, tmp_path, rvtools_as_template=True)
        assert message.startswith("vInfo: Line 2 is not UTF-8: it contains the byte 0xfc.")
        assert 'encoding="cp1252",' in message
        file = tmp_path / "export.zip"
        file.write_bytes(content)
        with pytest.raises(AmbiguousFileError):
            list(RVToolsTable(file))
        [record] = RVToolsTable(file, encoding="cp1252")
        assert "Büro" in record.cells


class TestHeaders:
    def test_old_headers(self, tmp_path: Path) -> None:
        header = "vm,dns name,PrimaryIPAddress,Memory MB,CPUs,OS according to the configuration file,BIOS UUID"
        network = "VM,MAC Address,IP Address\nweb1,0050.5600.0001,10.0.0.2"
        assert convert_vinfo(
            header, "web1,web1.local,10.0.0.1,2048,2,Debian,42", folder=tmp_path, vNetwork=network
        ) == [
            {
                "SMBiosId": "42",
                "IPAddress": "10.0.0.1, 10.0.0.2",
                "MACAddress": "00:50:56:00:00:01",
                "HostName": "web1.local",
                "CPU.NumberOfLogicalCores": "2",
                "OS.Name": "Debian",
                "VMware.VMName": "web1",
                "RAM.TotalSizeInMB": "2048",
            }
        ]

    def test_database_headers(self, tmp_path: Path) -> None:
        header = "vInfoVMName,vInfoTemplate,vInfoGuestHostName,vInfoCPUs,vInfoMemory,vInfoOS,vInfoOSTools"
        rows = ["web1,False,web1.local,2,2048,config,tools", "web2,True,web2.local,2,2048,config,tools"]
        network = "vNetworkVMName,vNetworkMacAddress\nweb1,00:50:56:00:00:01"
        assert convert_vinfo(header, *rows, folder=tmp_path, vNetwork=network) == [
            {
                "MACAddress": "00:50:56:00:00:01",
                "HostName": "web1.local",
                "CPU.NumberOfLogicalCores": "2",
                "OS.Name": "tools",
                "VMware.VMName": "web1",
                "RAM.TotalSizeInMB": "2048",
            }
        ]

    def test_other_columns_can_be_mapped_and_filtered(self, tmp_path: Path) -> None:
        rows = convert(
            as_csv(SHEETS),
            tmp_path,
            row_filter={"Powerstate": ["poweredOn"]},
            column_mapping={"VM UUID": "ExternalId"},
            tags={"source": "rvtools"},
        )
        assert [(row["ExternalId"], row["Tags"]) for row in rows] == [("500a-1", "source:rvtools")]

    def test_custom_attributes_are_not_mistaken_for_template_columns(self, tmp_path: Path) -> None:
        content = pack({"vInfo.csv": b"VM,DNS Name,hostname,Tags\nvm1,web1,web9,production\n"})
        assert convert(content, tmp_path) == [{"HostName": "web1", "VMware.VMName": "vm1"}]
        (tmp_path / "part-0001.csv").unlink()
        mapping = {"vInfo Tags": {"column": "Tags", "tag": "environment"}}
        [row] = convert(content, tmp_path, column_mapping=mapping)
        assert row["Tags"] == "environment:production"


class TestCells:
    @pytest.mark.parametrize(
        "memory", ["16384", "16,384", "16.384", "16 384", "16'384", "16\u2019384", "16\u00a0384", "16\u202f384"]
    )
    def test_memory_is_a_whole_number_of_mib(self, tmp_path: Path, memory: str) -> None:
        [row] = convert_vinfo("VM,DNS Name,Memory", f'a,web1,"{memory}"', folder=tmp_path)
        assert row["RAM.TotalSizeInMB"] == "16384"

    @pytest.mark.parametrize("header", ["Memory", "Memory MiB", "Memory (MiB)", "Memory [MB]", "memory mb"])
    def test_headers_of_memory(self, tmp_path: Path, header: str) -> None:
        [row] = convert_vinfo(f"VM,DNS Name,{header}", "a,web1,16384", folder=tmp_path)
        assert row["RAM.TotalSizeInMB"] == "16384"

    def test_other_headers_are_reported(self, tmp_path: Path) -> None:
        files = {"vInfo.csv": b"VM,DNS Name,Memory GB\na,web1,16\n", "vMemory.csv": b"VM,Size GB\na,16\n"}
        prepared = prepare(pack(files), tmp_path, rvtools_as_template=True)
        assert prepared.columns_unknown == ("Memory GB",)
        assert "RAM.TotalSizeInMB" in next(each for each in prepared.warnings if each.startswith("No sheet has"))

    @pytest.mark.parametrize("memory", ["16.38", "0.512", "16,384.5", "1.024,768", "16 GB", "16384,000"])
    def test_other_memory_is_invalid(self, tmp_path: Path, memory: str) -> None:
        content = pack({"vInfo.csv": f'VM,DNS Name,Memory\na,web1,"{memory}"\n'.encode()})
        message = refuse(content, tmp_path, rvtools_as_template=True)
        assert f"line 2: Memory: '{memory}' is not a whole number." in message

    def test_memory_of_several_groups(self, tmp_path: Path) -> None:
        rows = convert_vinfo("VM,DNS Name,Memory", 'a,web1,"1,048,576"', "b,web2,", folder=tmp_path)
        assert [row.get("RAM.TotalSizeInMB") for row in rows] == ["1048576", None]

    def test_vmemory_and_vcpu_add_what_vinfo_lacks(self, tmp_path: Path) -> None:
        [row] = convert_vinfo(
            "VM,DNS Name", "a,web1", folder=tmp_path, vMemory='VM,Size MB\na,"4,096"', vCpu="VM,CPUs,Sockets\na,4,2"
        )
        assert row["RAM.TotalSizeInMB"] == "4096"
        assert (row["CPU.NumberOfProcessors"], row["CPU.NumberOfLogicalCores"]) == ("2", "4")

    @pytest.mark.parametrize(("value", "left_out"), [("TRUE", 1), ("1", 1), ("yes", 1), ("false", 0), ("", 0)])
    def test_templates_and_placeholders_are_counted(self, tmp_path: Path, value: str, left_out: int) -> None:
        content = pack({"vInfo.csv": f"VM,DNS Name,SRM Placeholder\na,web1,{value}\nb,web2,False\n".encode()})
        prepared = prepare(content, tmp_path, rvtools_as_template=True)
        assert prepared.rows_filtered == {"Template": 0, "SRM Placeholder": left_out}
        assert len(read_rows(prepared, tmp_path)) == 2 - left_out

    def test_a_flag_that_is_neither_true_nor_false_is_invalid(self, tmp_path: Path) -> None:
        content = pack({"vInfo.csv": b"VM,DNS Name,Template\na,web1,WAHR\nb,web2,False\n"})
        prepared = prepare(content, tmp_path, rvtools_as_template=True, on_invalid_rows="quarantine")
        [_, invalid] = read_csv(tmp_path / "quarantine.csv")
        assert invalid[:2] == ["2", "Template: 'WAHR' is neither True nor False."]
        assert (prepared.rows_written, prepared.rows_quarantined) == (1, 1)

    def test_a_row_with_another_number_of_cells_is_invalid(self, tmp_path: Path) -> None:
        content = pack({"vInfo.csv": b"VM,DNS Name,Annotation\na,web1,first\nsecond\nb,web2,x,y\n"})
        message = refuse(content, tmp_path, rvtools_as_template=True)
        assert "line 3: The number of cells is 1, but the header has 3." in message
        assert "line 4: The number of cells is 4, but the header has 3." in message

    def test_a_delimiter_at_the_end_of_rows_does_not_matter(self, tmp_path: Path) -> None:
        rows = convert_vinfo("VM,DNS Name", "a,web1,", folder=tmp_path, vMemory="VM,Size MB\na,4096,")
        assert rows == [{"HostName": "web1", "VMware.VMName": "a", "RAM.TotalSizeInMB": "4096"}]

    def test_a_date_in_a_host_name_is_invalid(self, tmp_path: Path) -> None:
        content = as_xlsx({"vInfo": [["VM", "DNS Name"], ["a", datetime.date(2026, 5, 1)]]})
        assert "HostName: '2026-05-01' is a date" in refuse(content, tmp_path, rvtools_as_template=True)


class TestJoins:
    NETWORK = "VM,VM UUID,Mac Address\na,u1,00:50:56:00:00:01\na,u2,00:50:56:00:00:02\n"

    def test_machines_are_joined_by_uuid(self, tmp_path: Path) -> None:
        rows = convert_vinfo("VM,VM UUID,DNS Name", "a,u2,web2", "a,u1,web1", folder=tmp_path, vNetwork=self.NETWORK)
        assert [(row["HostName"], row["MACAddress"]) for row in rows] == [
            ("web2", "00:50:56:00:00:02"),
            ("web1", "00:50:56:00:00:01"),
        ]

    @pytest.mark.parametrize("header", ["VM,DNS Name", "VM UUID,VM,DNS Name"])
    def test_a_key_of_several_rows_is_not_guessed(self, tmp_path: Path, header: str) -> None:
        key = "u1," * header.startswith("VM UUID")
        info = f"{header}\n{key}a,web1\n{key}a,web2\n{'u2,' * bool(key)}b,web3\n".encode()
        content = pack({"vInfo.csv": info, "vNetwork.csv": self.NETWORK.encode()})
        prepared = prepare(content, tmp_path, rvtools_as_template=True, on_invalid_rows="quarantine")
        assert [row[3] for row in read_rows(prepared, tmp_path)] == ["web3"]
        reasons = [row[1] for row in read_csv(tmp_path / "quarantine.csv")[1:]]
        assert len(reasons) == 2
        assert reasons[0].startswith(
            f"2 rows of vInfo have '{'u1' if key else 'a'}', so it is unknown to which of them"
        )

    def test_repeated_names_do_not_matter_without_other_sheets(self, tmp_path: Path) -> None:
        assert len(convert_vinfo("VM,DNS Name", "a,web1", "a,web2", folder=tmp_path)) == 2

    def test_machines_that_are_not_in_vinfo_are_reported(self, tmp_path: Path) -> None:
        content = pack({"vInfo.csv": b"VM,VM UUID,DNS Name\na,u1,web1\n", "vNetwork.csv": self.NETWORK.encode()})
        prepared = prepare(content, tmp_path, rvtools_as_template=True)
        assert (
            prepared.source_format == "RVTools export, converted; virtual machines of vNetwork that are not in vInfo: 1"
        )

    def test_sheets_of_different_exports(self, tmp_path: Path) -> None:
        content = pack({"vInfo.csv": b"VM,VM UUID,DNS Name\na,u8,web1\n", "vNetwork.csv": self.NETWORK.encode()})
        assert refuse(content, tmp_path, rvtools_as_template=True).startswith("No row of vNetwork belongs to a row of")


class TestRefusals:
    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"vHost.csv": b"VM\na\n"}, "The RVTools export lacks vInfo."),
            ({"vInfo.csv": b"Name,CPUs\na,1\n"}, "vInfo: None of the first 20 rows has the header VM."),
            ({"vInfo.csv": b"VM,DNS Name\n"}, "The file has a header but no rows."),
            ({"vInfo.csv": b""}, "vInfo: The file is empty."),
            (
                {"vInfo.csv": b"VM\na\n", "vCpu.csv": b"VM,CPUs\na\n"},
                "Line 2 of vCpu cannot be read: The number of cells is 1,",
            ),
        ],
    )
    def test_sheets_that_cannot_be_converted(self, tmp_path: Path, files: dict[str, bytes], message: str) -> None:
        assert refuse(pack(files), tmp_path, rvtools_as_template=True).startswith(message)

    def test_a_damaged_sheet(self, tmp_path: Path) -> None:
        content = pack({"vInfo.csv": b"VM,DNS Name\na,web1\n"}, compression=0).replace(b"web1", b"web2")
        message = refuse(content, tmp_path, rvtools_as_template=True)
        assert message.startswith("vInfo: 'vInfo.csv' in the ZIP file is not a ZIP archive, or is damaged")

    @pytest.mark.parametrize("sheet", ["vInfo", "vNetwork"])
    def test_memory_is_limited(self, tmp_path: Path, sheet: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rvtools_template, "MAX_BYTES", 50_000)
        sheets = {"vInfo": b"VM\na\n", "vNetwork": b"VM,Mac Address\na,\n"}
        sheets[sheet] += b"".join(b"vm%d%s\n" % (n, b"," * (sheet == "vNetwork")) for n in range(50))
        content = pack({f"{name}.csv": rows for name, rows in sheets.items()})
        message = refuse(content, tmp_path, rvtools_as_template=True)
        assert message.startswith(f"Sheet {sheet} has too many virtual machines.")
