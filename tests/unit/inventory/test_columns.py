from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ads.inventory.columns import MappedColumn, check_column_mapping
from tests.support.inventories import prepare, read_csv, refuse


class TestCheckColumnMapping:
    def test_returns_a_valid_mapping(self) -> None:
        mapping = {
            "Server Name": "HostName",
            "Owner": None,
            " HostName ": {"column": "VMware.VMName"},
            "RAM": {"column": "RAM.TotalSizeInMB", "unit": "GB"},
            "IP 1": {"column": "IPAddress", "separator": "#"},
            "IP 2": {"column": "IPAddress", "separator": None},
            "Labels": {"column": "Tags", "pair_separator": "="},
            "Environment": {"column": "Tags", "tag": "environment"},
        }
        assert check_column_mapping(mapping) == {
            "Server Name": MappedColumn("Server Name", "HostName"),
            "Owner": None,
            "HostName": MappedColumn("HostName", "VMware.VMName"),
            "RAM": MappedColumn("RAM", "RAM.TotalSizeInMB", unit="GB"),
            "IP 1": MappedColumn("IP 1", "IPAddress", separator="#"),
            "IP 2": MappedColumn("IP 2", "IPAddress", separator=None),
            "Labels": MappedColumn("Labels", "Tags", pair_separator="="),
            "Environment": MappedColumn("Environment", "Tags", tag="environment"),
        }
        assert check_column_mapping(None) == {}

    @pytest.mark.parametrize(
        ("mapping", "message"),
        [
            ([("Server Name", "HostName")], "must be a dict such as"),
            ("{'Server Name': 'HostName'}", "got .*Jinja renders it as a string unless .*as_native_obj=True"),
            ({1: "HostName"}, "source's headers, as strings; got 1"),
            ({"Server Name": "Hostname"}, r"'Server Name' to 'Hostname', which .*Did you mean 'HostName'\?"),
            ({"Server Name": "???"}, r"'\?\?\?', which .* Its columns are ExternalId, SMBiosId, .*, ServerId\."),
            ({"Server Name": ["HostName"]}, r"\['HostName'\]"),
            ({"A": "HostName", "B": "HostName"}, "both 'A' and 'B' to 'HostName'"),
            ({"A": {"unit": "GB"}}, "to {'unit': 'GB'}, which is not a column"),
            ({"A": {"column": "HostName", "units": "GB"}}, "'units' is not an option. The options are column, unit,"),
            ({"A": {"column": "HostName", "unit": "GB"}}, "HostName has no unit"),
            ({"A": {"column": "RAM.TotalSizeInMB", "unit": "%"}}, "the units of RAM.TotalSizeInMB are B, KB, MB, GB"),
            ({"A": {"column": "HostName", "separator": ";"}}, "separator must be text or None, for IPAddress,"),
            ({"A": {"column": "Tags", "separator": ""}}, "separator must be text or None"),
            ({"A": {"column": "Applications", "tag": "app"}}, "tag must be text, for Tags"),
            ({"A": {"column": "Tags", "tag": "a:b"}}, "no comma and no colon"),
            ({"A": {"column": "Tags", "tag": "a", "pair_separator": "="}}, "tag and pair_separator exclude each other"),
        ],
    )
    def test_refuses_an_invalid_mapping(self, mapping: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            check_column_mapping(mapping)


class TestMatchColumns:
    def test_mapped_columns_get_the_names_of_the_template(self, tmp_path: Path) -> None:
        mapping = {"Server Name": "HostName", "Cores": "CPU.NumberOfCores"}
        prepared = prepare("Server Name,IPAddress,Cores\nweb1,2001:db8::1,4\n", tmp_path, column_mapping=mapping)
        assert (tmp_path / "part-0001.csv").read_bytes() == (
            b"HostName,IPAddress,CPU.NumberOfCores\r\nweb1,2001:db8::1,4\r\n"
        )
        assert prepared.columns_mapped == {"IPAddress": "IPAddress", **mapping}
        assert (prepared.columns_ignored, prepared.columns_unknown) == ((), ())

    def test_ignored_and_unknown_columns_are_omitted_and_reported(self, tmp_path: Path) -> None:
        prepared = prepare(
            "Owner,HostName,Tags,,Owner\nme,web1,no tags,,you\n", tmp_path, column_mapping={"Tags": None}
        )
        assert read_csv(tmp_path / "part-0001.csv") == [["HostName"], ["web1"]]
        assert prepared.columns_mapped == {"HostName": "HostName"}
        assert prepared.columns_ignored == ("Tags",)
        assert prepared.columns_unknown == ("Owner", "Unnamed: 3", "Owner.1")

    def test_two_columns_can_be_swapped(self, tmp_path: Path) -> None:
        mapping = {"HostName": "VMware.VMName", "VMware.VMName": "HostName"}
        prepare("HostName,VMware.VMName\na,b\n", tmp_path, column_mapping=mapping)
        assert read_csv(tmp_path / "part-0001.csv") == [["VMware.VMName", "HostName"], ["a", "b"]]

    def test_one_of_two_columns_can_be_ignored(self, tmp_path: Path) -> None:
        mapping = {"Server Name": "HostName", "HostName": None}
        prepare("HostName,Server Name\na,b\n", tmp_path, column_mapping=mapping)
        assert read_csv(tmp_path / "part-0001.csv") == [["HostName"], ["b"]]

    def test_a_mapped_header_must_be_in_the_file(self, tmp_path: Path) -> None:
        message = refuse("Server name,IP\nweb1,::1\n", tmp_path, column_mapping={"Server Name": "HostName"})
        assert message == (
            "column_mapping contains headers that the file does not have: 'Server Name'. The file has 'Server name', "
            "'IP'. Some differ only in case or whitespace. Replace their entries of column_mapping:\n"
            '    "Server name": "HostName",'
        )
        header = ",".join(f"h{number}" for number in range(1_000))
        message = refuse(f"{header}\n", tmp_path, column_mapping={"Server Name": "HostName"})
        assert message.endswith(", 'h39' and 960 more.")

    @pytest.mark.parametrize(
        ("header", "mapped", "line"),
        [
            ("Server\u00a0Name", "Server Name", '"Server\\u00a0Name": "HostName",'),
            ("Server\nName", "Server Name", '"Server\\nName": "HostName",'),
            ("Server  Name", "server name", '"Server  Name": "HostName",'),
        ],
    )
    def test_a_header_that_differs_in_case_or_whitespace_is_suggested(
        self, tmp_path: Path, header: str, mapped: str, line: str
    ) -> None:
        content = f'Servers,\n"{header}",IP\nweb1,10.0.0.1\n'
        mapping = {"IP": "IPAddress"}
        message = refuse(content, tmp_path, column_mapping={**mapping, mapped: "HostName"})
        assert message.splitlines()[-1].strip() == line
        prepare(content, tmp_path, column_mapping={**mapping, **eval(f"{{{line}}}")})
        assert read_csv(tmp_path / "part-0001.csv") == [["HostName", "IPAddress"], ["web1", "10.0.0.1"]]

    def test_the_suggested_entry_has_the_same_options(self, tmp_path: Path) -> None:
        options = {"column": "Tags", "separator": None, "pair_separator": "="}
        message = refuse(
            "Name,labels\n", tmp_path, column_mapping={"Name": "HostName", "Labels": options, "NOTES": None}
        )
        assert message.splitlines()[1:] == [
            '    "labels": {"column": "Tags", "separator": None, "pair_separator": "="},'
        ]

    @pytest.mark.parametrize(
        ("header", "mapping"),
        [
            ("HostName,Server Name", {"Server Name": "HostName"}),
            ("HostName,HostName", {"HostName.1": "HostName"}),
        ],
    )
    def test_two_columns_for_one_template_column_are_refused(
        self, tmp_path: Path, header: str, mapping: dict[str, str]
    ) -> None:
        message = refuse(f"{header}\na,b\n", tmp_path, column_mapping=mapping)
        assert message.startswith("The file has two columns for HostName: ")
        assert "to None" in message

    @pytest.mark.parametrize(
        ("header", "mapping", "answers"),
        [
            ("HostName,HostName", {}, ['"HostName.1": None,']),
            ("Name,Name", {"Name": "HostName"}, ['"Name.1": None,']),
            (
                "Name,IP,IP",
                {"Name": "HostName", "IP": "IPAddress"},
                ['"IP.1": "IPAddress",', '"IP.1": None,'],
            ),
        ],
    )
    def test_a_repeated_header_must_be_mapped(
        self, tmp_path: Path, header: str, mapping: dict[str, str], answers: list[str]
    ) -> None:
        message = refuse(f"{header}\n", tmp_path, column_mapping=mapping)
        first, *lines = message.splitlines()
        assert "is repeated; the second one is called" in first
        assert [line.strip() for line in lines] == answers

    def test_several_headers_can_feed_a_list(self, tmp_path: Path) -> None:
        mapping = {"Name": "HostName", "IP.1": "IPAddress", "IP": "IPAddress"}
        prepare("Name,IP,IP\nweb1,10.0.0.1,10.0.0.2\nweb2,10.0.0.3,10.0.0.3\n", tmp_path, column_mapping=mapping)
        assert read_csv(tmp_path / "part-0001.csv") == [
            ["HostName", "IPAddress"],
            ["web1", "10.0.0.2, 10.0.0.1"],
            ["web2", "10.0.0.3"],
        ]

    def test_a_header_that_differs_only_in_case_is_refused(self, tmp_path: Path) -> None:
        content = "HostName, IPAddress,tags \nweb1,10.0.0.1,a:b\n"
        assert refuse(content, tmp_path).endswith("with None for those to ignore: {'tags': 'Tags'}.")
        prepared = prepare(content, tmp_path, column_mapping={" IPAddress": "IPAddress", "tags ": None})
        assert read_csv(tmp_path / "part-0001.csv") == [["HostName", "IPAddress"], ["web1", "10.0.0.1"]]
        assert prepared.columns_ignored == ("tags",)

    def test_a_misspelled_header_is_unknown_if_the_file_has_the_column(self, tmp_path: Path) -> None:
        assert prepare("hostname,HostName\na,b\n", tmp_path).columns_unknown == ("hostname",)

    def test_the_file_needs_a_column_that_identifies_servers(self, tmp_path: Path) -> None:
        message = refuse("Name,OS.Name\nweb1,Linux\n", tmp_path)
        assert message.startswith("No column identifies the servers.")
        assert "The file has 'Name', 'OS.Name'." in message
        assert message.splitlines()[1:] == ['    "Name": "HostName",', '    "OS.Name": "OS.Name",']
