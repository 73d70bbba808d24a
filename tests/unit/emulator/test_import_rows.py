from __future__ import annotations

import io
import zipfile

import pytest

from airflow_provider_ads.discovery.import_template import NUMERIC_COLUMNS
from airflow_provider_ads.emulator.import_rows import Row, read_import_file


def read(content: str) -> tuple[Row, ...]:
    import_file = read_import_file(content.encode())
    assert import_file is not None
    return import_file.rows


def export(**members: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(f"RVTools_export/{name}.csv", text)
    return content.getvalue()


class TestTypes:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"name,owner\nweb,me\n",
            b"externalid\na\n",
            b"ExternalId;HostName\na;b\n",
            "ExternalId\n\N{SNOWMAN}\n".encode("utf-16"),
            b"ExternalId\n\xff\n",
            b"ExternalId\na\0\n",
            b"PK\x05\x06" + bytes(18),
            export(RVTools_tabvHost="Host\nesx1\n"),
            export(RVTools_tabvInfo="Name\nweb1\n"),
            export(notvinfoatall="VM\nweb1\n"),
            export(notvinfo="VM\nweb1\n"),
            export(vInfo2="VM\nweb1\n"),
        ],
    )
    def test_not_supported(self, content: bytes) -> None:
        assert read_import_file(content) is None

    def test_damaged_zip_is_not_supported(self) -> None:
        content = export(RVTools_tabvInfo="VM\n" + "web\n" * 9)
        assert read_import_file(content.replace(b"web\nweb", b"bad\nbad")) is None

    @pytest.mark.parametrize(
        "content",
        [
            b"ExternalId\na\n",
            b"\xef\xbb\xbfExternalId\na\n",
            b'\xef\xbb\xbf"ExternalId"\r\n"a"\r\n',
            b"ExternalId\ra",
            b"\n\nExternalId\na",
            b"owner, ExternalId \nme, a ",
        ],
    )
    def test_import_template(self, content: bytes) -> None:
        import_file = read_import_file(content)
        assert import_file is not None
        assert import_file.classification == "IMPORT_TEMPLATE"
        (row,) = import_file.rows
        assert (row.external_id, row.errors) == ("a", ())

    def test_rvtools_export(self) -> None:
        content = export(RVTools_tabvHost="Host\nesx1\n", RVTools_tabvInfo="VM,VM UUID\nweb1,u1\nweb2,u2\n,u3\n")
        import_file = read_import_file(content)
        assert import_file is not None
        assert import_file.classification == "RVTOOLS_EXPORT"
        assert [[error.column for error in row.errors] for row in import_file.rows] == [[], [], ["VM"]]
        assert [row.identity for row in import_file.rows] == [("web1", "u1"), ("web2", "u2"), ("", "u3")]

    @pytest.mark.parametrize("name", ["vInfo", "VINFO", "tabvinfo", "RVTools_tabvInfo", "2026-01-02 vInfo"])
    def test_names_of_the_rvtools_sheet(self, name: str) -> None:
        import_file = read_import_file(export(**{name: "VM\nweb1\n"}))
        assert import_file is not None
        assert len(import_file.rows) == 1


class TestIdentity:
    @pytest.mark.parametrize(
        ("header", "row"),
        [
            ("ExternalId", "a"),
            ("IPAddress", "10.0.0.1"),
            ("MACAddress", "00:00:00:00:00:01"),
            ("HostName", "web1"),
            ("VMware.MoRefId,VMware.VCenterId", "vm-1,vc-1"),
        ],
    )
    def test_row_with_one(self, header: str, row: str) -> None:
        assert read(f"{header}\n{row}\n")[0].errors == ()

    @pytest.mark.parametrize(
        ("header", "row"),
        [
            ("SMBiosId,ServerId", "s,d-server-1"),
            ("ExternalId,HostName,OS.Name", " ,,Linux"),
            ("VMware.MoRefId,VMware.VCenterId", "vm-1,"),
            ("VMware.MoRefId,VMware.VCenterId", ",vc-1"),
            ("VMware.MoRefId", "vm-1"),
        ],
    )
    def test_row_without(self, header: str, row: str) -> None:
        (error,) = read(f"{header}\n{row}\n")[0].errors
        assert error.column == "ExternalId"
        assert "VMware.MoRefId with VMware.VCenterId" in error.message


class TestNumbers:
    @pytest.mark.parametrize("cell", ["", "0", "4", "12.5", ".5", "4.", "+4", " 4 ", "4e3", "101"])
    def test_taken(self, cell: str) -> None:
        header = ",".join(NUMERIC_COLUMNS)
        row = ",".join([cell] * len(NUMERIC_COLUMNS))
        assert read(f"ExternalId,{header}\na,{row}\n")[0].errors == ()

    @pytest.mark.parametrize(
        "cell", ["four", "4 GB", '"1,024"', "1_024", "nan", "inf", "0x4", "-", "-1", "4e", "٤", "9223372036854775808"]
    )
    def test_refused(self, cell: str) -> None:
        header = ",".join(NUMERIC_COLUMNS)
        row = ",".join([cell] * len(NUMERIC_COLUMNS))
        errors = read(f"ExternalId,{header}\na,{row}\n")[0].errors
        assert tuple(error.column for error in errors) == NUMERIC_COLUMNS
        assert all(cell.strip('"') in error.message for error in errors)


class TestRows:
    def test_unknown_columns_are_ignored(self) -> None:
        assert read("ExternalId,Colour,CPUCount\na,red,many\n")[0].errors == ()

    def test_shorter_row_is_taken(self) -> None:
        assert read("ExternalId,HostName,OS.Name\na\n")[0].errors == ()

    def test_unquoted_comma_makes_a_row_too_long(self) -> None:
        short, long = read('ExternalId,IPAddress,CPU.NumberOfCores\na,"10.0.0.1,10.0.0.2",4\nb,10.0.0.1,10.0.0.2,4\n')
        assert short.errors == ()
        assert [error.column for error in long.errors] == ["", "CPU.NumberOfCores"]
        assert long.errors[0].message == "The row has 4 cells, the header 3."

    def test_every_field_that_fails_is_told(self) -> None:
        (row,) = read("ExternalId,CPU.NumberOfCores,RAM.TotalSizeInMB\n,x,y\n")
        assert [error.column for error in row.errors] == [
            "ExternalId",
            "CPU.NumberOfCores",
            "RAM.TotalSizeInMB",
        ]

    def test_line_and_text(self) -> None:
        rows = read('ExternalId,OS.Name\r\n\r\na,"two\r\nlines, ""quoted"""\r\n"b",x\r\nc,\u2028')
        assert [(row.line, row.text) for row in rows] == [
            (3, 'a,"two\r\nlines, ""quoted"""\r\n'),
            (5, '"b",x\r\n'),
            (6, "c,\u2028"),
        ]

    def test_row_that_is_no_csv_fails_alone(self) -> None:
        huge = '"' + "x" * 200_000 + '"\n'
        first, second, third = read(f"ExternalId\na\n{huge}c\n")
        assert (first.errors, third.errors) == ((), ())
        assert second.text == huge
        assert second.errors[0].message == "The row cannot be read as CSV."

    def test_applications(self) -> None:
        (row,) = read('ExternalId,Applications\na," shop, crm,,shop "\n')
        assert row.applications == {"shop", "crm"}
