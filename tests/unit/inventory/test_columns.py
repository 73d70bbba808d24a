from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ads.inventory.columns import check_column_mapping
from tests.support.inventories import prepare, read_csv, refuse


class TestCheckColumnMapping:
    def test_returns_a_valid_mapping(self) -> None:
        mapping = {"Server Name": "HostName", "Owner": None, "HostName": "VMware.VMName"}
        assert check_column_mapping(mapping) == mapping
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
        ],
    )
    def test_refuses_an_invalid_mapping(self, mapping: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            check_column_mapping(mapping)


class TestMatchColumns:
    def test_mapped_columns_get_the_names_of_the_template(self, tmp_path: Path) -> None:
        mapping = {"Server Name": "HostName", "Cores": "CPU.NumberOfCores"}
        prepared = prepare("Server Name,IPAddress,Cores\nweb1,::1,4\n", tmp_path, column_mapping=mapping)
        assert (tmp_path / "part-0001.csv").read_bytes() == b"HostName,IPAddress,CPU.NumberOfCores\r\nweb1,::1,4\r\n"
        assert prepared.columns_mapped == {"IPAddress": "IPAddress", **mapping}
        assert (prepared.columns_ignored, prepared.columns_unknown) == ((), ())

    def test_ignored_and_unknown_columns_are_omitted_and_reported(self, tmp_path: Path) -> None:
        prepared = prepare(
            "Owner,HostName,Tags,,Owner\nme,web1,no tags,,you\n", tmp_path, column_mapping={"Tags": None}
        )
        assert read_csv(tmp_path / "part-0001.csv") == [["HostName"], ["web1"]]
        assert prepared.columns_mapped == {"HostName": "HostName"}
        assert prepared.columns_ignored == ("Tags",)
        assert prepared.columns_unknown == ("Owner", "", "Owner")

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
            "'IP'."
        )
        header = ",".join(f"h{number}" for number in range(1_000))
        message = refuse(f"{header}\n", tmp_path, column_mapping={"Server Name": "HostName"})
        assert message.endswith(", 'h39' and 960 more.")

    @pytest.mark.parametrize(
        ("header", "mapping"),
        [
            ("HostName,HostName", {}),
            ("HostName,Server Name", {"Server Name": "HostName"}),
            ("Server Name,Server Name", {"Server Name": "HostName"}),
        ],
    )
    def test_two_columns_for_one_template_column_are_refused(
        self, tmp_path: Path, header: str, mapping: dict[str, str]
    ) -> None:
        message = refuse(f"{header}\na,b\n", tmp_path, column_mapping=mapping)
        assert message.startswith("The file has two columns for HostName: ")
        assert "to None" in message

    def test_a_header_that_differs_only_in_case_or_whitespace_is_refused(self, tmp_path: Path) -> None:
        content = "HostName, IPAddress,tags \nweb1,::1,a:b\n"
        assert "{' IPAddress': 'IPAddress', 'tags ': 'Tags'}" in refuse(content, tmp_path)
        prepared = prepare(content, tmp_path, column_mapping={" IPAddress": "IPAddress", "tags ": None})
        assert read_csv(tmp_path / "part-0001.csv") == [["HostName", "IPAddress"], ["web1", "::1"]]
        assert prepared.columns_ignored == ("tags ",)

    def test_a_misspelled_header_is_unknown_if_the_file_has_the_column(self, tmp_path: Path) -> None:
        assert prepare("hostname,HostName\na,b\n", tmp_path).columns_unknown == ("hostname",)

    def test_the_file_needs_a_column_that_identifies_servers(self, tmp_path: Path) -> None:
        message = refuse("Name,OS.Name\nweb1,Linux\n", tmp_path)
        assert message.startswith("No column identifies the servers.")
        assert message.endswith("The file has 'Name', 'OS.Name'.")
