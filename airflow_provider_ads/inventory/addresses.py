"""IP and MAC addresses: lists, notations, and addresses that identify no server."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.cells import CellConverter, InvalidCell
from airflow_provider_ads.inventory.columns import MappedColumn
from airflow_provider_ads.inventory.placeholders import clean_cell

__all__ = ["IPAddressConverter", "MACAddressConverter"]

#: Separators of addresses in a cell. A slash without blanks can also precede a prefix. The quantifiers are possessive,
#: because otherwise a dozen slashes between blanks could be matched in millions of ways.
_SEPARATORS = re.compile(r"(?:\s++(?:/\s*+)?+|/\s++|[,;|])++")

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"

#: An IPv4 address that identifies a server, and one with a prefix. Nearly all do, and the ipaddress module takes thirty
#: times as long. With a prefix of at most 24, a network's own address ends in 0.
_COMMON = rf"(?!0|127\.|169\.254\.|22[4-9]\.|23[0-9]\.|255\.){_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_COMMON_ITEM = rf"{_COMMON}(?:(?<!\.0)/(?:2[0-4]|1?[0-9])(?![0-9])|/32)?+"

#: A link-local address as servers list it.
_LINK_LOCAL = re.compile(r"(fe80::(?:[0-9a-f]{1,4}:){0,3}[0-9a-f]{1,4})(?:%\w+|/64)?+", re.IGNORECASE)

#: Find the addresses without their prefixes in a cell of such items.
_find_addresses = re.compile(r"[0-9.]{7,}").findall

#: Twelve digits, alone or in groups of two or four.
_MAC_ADDRESS = re.compile(
    r"[0-9a-f]{12}|[0-9a-f]{2}([: -])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|[0-9a-f]{4}([.:-])[0-9a-f]{4}\2[0-9a-f]{4}", re.I
)


class _AddressConverter(CellConverter):
    """
    Convert lists of addresses.

    :ivar dropped: number of different cells for each address that was ignored because it identifies no server.
    """

    #: The kind of item, for messages.
    kind: str

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        super().__init__(mapped, placeholders)
        self.dropped: Counter[str] = Counter()

    def convert(self, cell: str) -> str:
        """Return the addresses, separated by commas, or an :class:`InvalidCell`."""
        addresses: dict[str, None] = {}
        text = clean_cell(cell, self.placeholders)
        for item in self.split(text):
            # Most items are already in the right notation, and parsing takes thirty times as long.
            if item and "\0" not in item and self.stays_unchanged(item):
                addresses[item] = None
                continue
            if not clean_cell(item, self.placeholders):
                continue
            found = self.parse(item)
            if not found:
                return InvalidCell(f"{quote(item)} is not {self.kind}.")
            for address in found:
                if self.identifies_no_server(address):
                    self.dropped[address] += 1
                else:
                    addresses[address] = None
        return ", ".join(addresses)

    def warnings(self) -> Iterator[str]:
        """Yield a warning about addresses that were ignored."""
        if self.dropped:
            examples = ", ".join(address for address, _ in self.dropped.most_common(3))
            yield f"{self.mapped.label}addresses that identify no server were ignored, such as {examples}."

    def split(self, text: str) -> list[str]:
        """Return the items of a list."""
        separator = self.mapped.separator
        if separator == "":
            return [item for item in _SEPARATORS.split(text) if item]
        return [text] if separator is None else [item.strip() for item in text.split(separator) if item.strip()]

    def parse(self, item: str) -> list[str]:
        """Parse an item, and return its addresses; an empty list if it is something else."""
        raise NotImplementedError

    def identifies_no_server(self, address: str) -> bool:
        """Return True for an address that many machines have."""
        raise NotImplementedError


class IPAddressConverter(_AddressConverter):
    """Convert lists of IP addresses, without their prefixes, masks, zones and ports."""

    unchanged = rf"(?:{_COMMON})?+"
    kind = "an IP address"

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        super().__init__(mapped, placeholders)
        separator = {None: "(?!)", "": _SEPARATORS.pattern}.get(mapped.separator, re.escape(mapped.separator or ""))
        self._common_list = re.compile(rf"{_COMMON_ITEM}(?:{separator}{_COMMON_ITEM})*")
        if any(map(self._common_list.fullmatch, placeholders)):
            self._common_list = re.compile("(?!)")

    def convert_several(self, cells: Sequence[str]) -> list[str]:
        """Return the converted cells."""
        is_common, memo = self._common_list.fullmatch, self.memo
        return [", ".join(dict.fromkeys(_find_addresses(cell))) if is_common(cell) else memo[cell] for cell in cells]

    def parse(self, item: str) -> list[str]:
        """Return the addresses, and networks with their prefix; any other item is split at slashes."""
        if local := _LINK_LOCAL.fullmatch(item):
            return [local[1].lower()]
        if (address := _parse_ip_address(item)) is not None:
            return [address]
        addresses = [_parse_ip_address(part) for part in item.split("/")] if "/" in item else []
        return [] if None in addresses else [address for address in addresses if address is not None]

    def identifies_no_server(self, address: str) -> bool:
        """Return True for an address that is unspecified, multicast, loopback, link-local, a mask, or a network."""
        if "/" in address or address.startswith("fe80:"):
            return True
        ip = ip_interface(address).ip
        is_mask = ip.version == 4 and bool(re.fullmatch(r"1{8,}0*", f"{int(ip):032b}"))
        return ip.is_unspecified or ip.is_loopback or ip.is_link_local or ip.is_multicast or is_mask


def _parse_ip_address(text: str) -> str | None:
    # A port follows an IPv4 address, or an IPv6 address in brackets. A zone follows an IPv6 address.
    text = re.sub(r"^\[(.+)\](?::\d{1,5})?$|^(\d[\d.]*\.\d+):\d{1,5}$", lambda found: found[1] or found[2], text)
    text = re.sub(r"%[^/]*", "", text)
    if re.match(r"[\d.]+(?:/|$)", text):
        text = re.sub(r"(?<![\d/])0+(?=\d)", "", text)
    try:
        interface: IPv4Interface | IPv6Interface = ip_interface(text)
    except ValueError:
        return None
    # Networks of one or two addresses consist of servers' addresses.
    if "/" in text and interface.ip == (network := interface.network).network_address and network.num_addresses > 2:
        return str(network)
    return str(interface.ip)


class MACAddressConverter(_AddressConverter):
    """Convert lists of MAC addresses to the notation ``00:50:56:AB:CD:EF``."""

    unchanged = r"(?:(?!00:00:00:00:00:00|FF:FF:FF:FF:FF:FF)[0-9A-F]{2}(?::[0-9A-F]{2}){5})?+"
    kind = "a MAC address"

    def split(self, text: str) -> list[str]:
        """Split a cell, unless it is one address whose bytes are separated by blanks."""
        return [text] if re.fullmatch(r"[0-9a-fA-F]{2}(?: [0-9a-fA-F]{2}){5}", text) else super().split(text)

    def parse(self, item: str) -> list[str]:
        """Return the address."""
        if not _MAC_ADDRESS.fullmatch(item):
            return []
        digits = re.sub(r"[^0-9A-F]", "", item.upper())
        return [":".join(digits[place : place + 2] for place in range(0, 12, 2))]

    def identifies_no_server(self, address: str) -> bool:
        """Return True for the address of zeros, and for the broadcast address."""
        return address in ("00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF")
