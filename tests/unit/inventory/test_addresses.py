from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ads.inventory.addresses import IPAddressConverter, MACAddressConverter
from airflow_provider_ads.inventory.cells import InvalidCell
from airflow_provider_ads.inventory.columns import MappedColumn
from airflow_provider_ads.inventory.placeholders import PLACEHOLDERS


def ip_addresses(separator: str | None = "") -> IPAddressConverter:
    return IPAddressConverter(MappedColumn("IP", "IPAddress", separator=separator), PLACEHOLDERS)


def mac_addresses() -> MACAddressConverter:
    return MACAddressConverter(MappedColumn("MAC", "MACAddress"), PLACEHOLDERS)


class TestIPAddresses:
    @pytest.mark.parametrize("separator", [",", ", ", ";", "|", " ", "\n", "\r\n", " / ", "/", ",;"])
    def test_every_usual_separator_splits_a_list(self, separator: str) -> None:
        assert ip_addresses().convert_all([f"10.0.0.1{separator}10.0.0.2"]) == ["10.0.0.1, 10.0.0.2"]

    @pytest.mark.parametrize(
        ("cell", "address"),
        [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1/24", "10.0.0.1"),
            ("10.0.0.1/255.255.255.0", "10.0.0.1"),
            ("10.0.0.0", "10.0.0.0"),
            ("10.0.1.0/16", "10.0.1.0"),
            ("10.0.0.129/25", "10.0.0.129"),
            ("10.0.0.0/31", "10.0.0.0"),
            ("10.0.0.0/32", "10.0.0.0"),
            ("2001:db8::/128", "2001:db8::"),
            ("10.0.0.1/24, 10.0.0.2/24", "10.0.0.1, 10.0.0.2"),
            ("010.000.001.009", "10.0.1.9"),
            ("10.0.0.1:8080", "10.0.0.1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8:0:0:0:0:0:1/64", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1%eth0", "2001:db8::1"),
            ("10.0.0.1, 10.0.0.1", "10.0.0.1"),
            ("10.0.0.1, n/a", "10.0.0.1"),
            ("", ""),
            ("System.String[]", ""),
        ],
    )
    def test_only_the_address_remains(self, cell: str, address: str) -> None:
        assert ip_addresses().convert_all([cell]) == [address]

    @pytest.mark.parametrize(
        "address",
        [
            *("0.0.0.0", "127.0.0.1", "169.254.1.1", "255.255.255.0", "255.0.0.0", "::", "::1", "fe80::1%eth0"),
            *("10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/255.255.255.0", "10.0.0.0/8", "2001:db8::/64"),
            *("224.0.0.1", "239.255.255.250", "ff02::1"),
        ],
    )
    def test_addresses_that_identify_no_server_are_ignored_and_counted(self, address: str) -> None:
        tested = ip_addresses()
        assert tested.convert_all([f"10.0.0.1 {address}", address]) == ["10.0.0.1", ""]
        assert tested.dropped.total() == 2

    def test_common_lists_are_converted_without_parsing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("airflow_provider_ads.inventory.addresses.ip_interface", None)
        tested = ip_addresses()
        assert tested.convert_all(["10.0.0.1, FE80::250:56ff:feab:cdef%eth0", "fe80::1/64"]) == ["10.0.0.1", ""]
        assert tested.dropped == {"fe80::250:56ff:feab:cdef": 1, "fe80::1": 1}

    @pytest.mark.parametrize("cell", ["10.0.0.1\00010.0.0.2", "fe80::1::2", "fe80::12345"])
    def test_cells_that_only_begin_like_addresses_are_invalid(self, cell: str) -> None:
        assert isinstance(ip_addresses().convert_all([cell])[0], InvalidCell)

    @pytest.mark.parametrize("cell", ["10.0.0.999", "DHCP", "10.0.0", "10.0.0.1/99", "web1.example", "10.0.0.1-20"])
    def test_anything_else_is_invalid(self, cell: str) -> None:
        (reason,) = ip_addresses().convert_all([cell])
        assert isinstance(reason, InvalidCell)
        assert reason == f"{cell!r} is not an IP address."

    def test_the_mapping_can_name_the_separator(self) -> None:
        assert ip_addresses("#").convert_all(["10.0.0.1#10.0.0.2"]) == ["10.0.0.1, 10.0.0.2"]
        assert isinstance(ip_addresses(None).convert_all(["10.0.0.1,10.0.0.2"])[0], InvalidCell)

    @given(st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=30))
    def test_stays_unchanged_agrees_with_convert(self, cells: list[str]) -> None:
        together = ip_addresses().convert_all(cells)
        assert together == [ip_addresses().convert(cell) for cell in cells]


class TestMACAddresses:
    @pytest.mark.parametrize(
        "cell",
        [
            "00:50:56:AB:CD:EF",
            "00:50:56:ab:cd:ef",
            "00-50-56-AB-CD-EF",
            "0050.56ab.cdef",
            "0050-56AB-CDEF",
            "005056abcdef",
            "00 50 56 ab cd ef",
        ],
    )
    def test_every_usual_notation_is_normalized(self, cell: str) -> None:
        assert mac_addresses().convert_all([cell]) == ["00:50:56:AB:CD:EF"]

    @pytest.mark.parametrize("separator", [",", "; ", "|", "\n", " "])
    def test_a_list_is_split(self, separator: str) -> None:
        cell = f"00:50:56:AB:CD:EF{separator}0050.56ab.cdee"
        assert mac_addresses().convert_all([cell]) == ["00:50:56:AB:CD:EF, 00:50:56:AB:CD:EE"]

    def test_addresses_that_are_not_set_are_ignored_and_counted(self) -> None:
        tested = mac_addresses()
        assert tested.convert_all(["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"]) == ["", ""]
        assert tested.dropped.total() == 2

    @pytest.mark.parametrize("cell", ["00:50:56:AB:CD", "00:50:56:AB:CD:EG", "00:50-56:AB:CD:EF", "0050.56AB:CDEF"])
    def test_anything_else_is_invalid(self, cell: str) -> None:
        assert isinstance(mac_addresses().convert_all([cell])[0], InvalidCell)


def test_many_slashes_between_blanks_take_no_time() -> None:
    converter = IPAddressConverter(MappedColumn("IP", "IPAddress"), frozenset())
    cells = ["10.0.0.1" + " / " * 200 + "DHCP", "10.0.0.1" + " " * 100_000 + "DHCP"]
    assert converter.convert_all(cells) == ["'DHCP' is not an IP address."] * 2
