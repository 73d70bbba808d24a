"""Applications and tags: lists of names, and of names with values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from airflow_provider_ads.discovery.limits import TAGS_PER_SERVER
from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.cells import CellConverter, InvalidCell, TextConverter, lost_characters
from airflow_provider_ads.inventory.columns import MappedColumn, mapping_line
from airflow_provider_ads.inventory.placeholders import clean_cell, visible
from airflow_provider_ads.inventory.table import Question

__all__ = ["ApplicationsConverter", "TagsConverter", "add_tags", "check_tags", "join_lists"]


#: The semicolon and the commas of Chinese and Japanese, which separate the items of lists too.
WIDE = "\uff1b\u3001\uff0c"

#: The beginning of a JSON list or object.
_JSON = re.compile(r'\s*[\[{]\s*"')


class _ListConverter(CellConverter):
    """Convert lists whose separator might not be certain."""

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        super().__init__(mapped, placeholders)
        #: A cell for each separator that might split it.
        self.ambiguous: dict[str, str] = {}
        #: The separators to ask about. The longest run, because two characters divide a list whose items are separated
        #: by both.
        self.separators = rf"\|\|+|;;+|\||;|\n|\r(?!\n)|[{WIDE}]"

    def items(self, text: str) -> list[str]:
        """Return the items of a list, without empty ones and placeholders."""
        separator = self.mapped.separator
        if separator == "":
            for found in re.findall(self.separators, text):
                self.ambiguous.setdefault(found, text)
            separator = ","
        items = [text] if separator is None else text.split(separator)
        return [item for item in (clean_cell(item, self.placeholders) for item in items) if item]

    def find_other_separator(self, item: str, pair_separator: str = "") -> InvalidCell | None:
        """
        Return an :class:`InvalidCell` for an item that contains another separator than that of the mapping.

        :param item: the item, or the value of a tag.
        :param pair_separator: the string that follows the separator if the item contains another tag.
        """
        # Without a pair separator, rfind() returns the end.
        found = re.search(r"[;|\n]", item[: max(item.rfind(pair_separator), 0)]) if self.mapped.separator else None
        return found and InvalidCell(
            f"{quote(item)} contains {quote(found[0])}, which might be a separator too. Use one separator in the "
            "source."
        )

    def questions(self) -> Iterator[Question]:
        """Yield a question about the separator."""
        header, column = self.mapped.header, self.mapped.column
        if self.ambiguous:
            texts = " and ".join(quote(text) for text in dict.fromkeys(self.ambiguous.values()))
            options = {"column": column, **self.other_options()}
            advice = " AWS reads every comma as the end of a name." if "," in self.ambiguous else ""
            yield Question(
                f"{self.mapped.label}{texts} might be a list.{advice} Set its separator, or None if each cell is one "
                "item, with one of these entries of column_mapping:",
                tuple(mapping_line(header, {**options, "separator": each}) for each in [*self.ambiguous, None]),
            )

    def other_options(self) -> dict[str, object]:
        """Return the other options of the entry in column_mapping."""
        return {}


class ApplicationsConverter(_ListConverter, TextConverter):
    """Convert lists of application names, which AWS expects to be separated by commas."""

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        super().__init__(mapped, placeholders)
        # Names contain slashes too, but rarely between blanks.
        self.separators += r"| / |<[bB][rR] ?/?>"
        self.special = (",", ";", "|", " / ", "<br", *WIDE, '"', (mapped.separator or ",").lower())

    def convert(self, cell: str) -> str:
        """Return the names, separated by commas, or an :class:`InvalidCell` for a name with a comma."""
        if _JSON.match(cell):
            return InvalidCell(f"{quote(cell)} is JSON. Export the names as text.")
        if "\ufffd" in cell:
            return lost_characters(cell)
        items = self.items(clean_cell(cell, self.placeholders))
        if self.mapped.separator == "" and any(map(_ends_in_brackets_or_quotes, items)):
            self.ambiguous.setdefault(",", cell)
        if with_comma := next((item for item in items if "," in item), None):
            return InvalidCell(f"{quote(with_comma)} contains a comma, which AWS reads as the end of a name.")
        if invalid := next(filter(None, map(self.find_other_separator, items)), None):
            return invalid
        return ", ".join(dict.fromkeys(items))


def _ends_in_brackets_or_quotes(item: str) -> bool:
    """Return True if a comma in brackets or quotes ends the item."""
    return any(item.count(first) != item.count(last) for first, last in ("()", "[]", "{}")) or item.count('"') % 2 == 1


_NAME, _VALUE = visible(f':,;|="\ufffd{WIDE}'), visible(f",;|\ufffd{WIDE}")
_TAG = rf"(?![Ee][Rr][Rr]:5)[{_NAME}][ {_NAME}]*+(?<! ):[{_VALUE}][ {_VALUE}]*+(?<! )"
_UNCHANGED_TAGS = rf"(?:{_TAG}(?:, {_TAG}){{0,{TAGS_PER_SERVER - 1}}}+)?+"


class TagsConverter(_ListConverter):
    """Convert lists of tags of the form ``name:value``, which AWS expects to be separated by commas."""

    def __init__(self, mapped: MappedColumn, placeholders: frozenset[str]) -> None:
        super().__init__(mapped, placeholders)
        self.pairs: str | None = None
        if mapped.separator in ("", ",") and (mapped.pair_separator, mapped.tag) == (":", None):
            self.unchanged = _UNCHANGED_TAGS

    def convert(self, cell: str) -> str:
        """Return the tags as ``name:value, name:value``, or an :class:`InvalidCell`."""
        text = clean_cell(cell, self.placeholders)
        if _JSON.match(cell):
            return InvalidCell(f"{quote(cell)} is JSON. Export the tags as text of the form name:value.")
        if "\ufffd" in cell:
            return lost_characters(cell)
        if self.mapped.tag is not None:
            values = self.items(text) if self.mapped.separator else [text] * bool(text)
            if len(values) > 1:
                return InvalidCell(f"{quote(cell)} has {len(values)} values for one tag.")
            items = [f"{self.mapped.tag}:{value}" for value in values]
        else:
            items = self.items(text)
        tags = []
        for item in items:
            separator = self.mapped.pair_separator
            name, found, value = item.partition(":" if self.mapped.tag else separator)
            if not found and separator == ":" and re.fullmatch(r"[^=]+=.+", item):
                self.pairs = item
            if not (found and name.strip() and value.strip()) or "," in item or ":" in name or "\0" in item:
                return InvalidCell(f"{quote(item)} does not have the form name:value. Commas separate tags.")
            if self.mapped.tag is None and (invalid := self.find_other_separator(value, separator)):
                return invalid
            tags.append(f"{name.strip()}:{value.strip()}")
        if len(tags) > TAGS_PER_SERVER:
            return InvalidCell(f"The server has {len(tags):,} tags; the maximum is {TAGS_PER_SERVER}.")
        return ", ".join(tags)

    def questions(self) -> Iterator[Question]:
        """Yield a question about the separators."""
        yield from super().questions()
        if self.pairs and not self.ambiguous:
            yield Question(
                f"{self.mapped.label}{quote(self.pairs)} does not have the form name:value. Set the separator of "
                "names and values, with this entry of column_mapping:",
                (mapping_line(self.mapped.header, {"column": "Tags", **self.other_options()}),),
            )

    def other_options(self) -> dict[str, object]:
        """Return the other options of the entry in column_mapping."""
        if self.mapped.tag:
            return {"tag": self.mapped.tag}
        separator = "=" if self.pairs else self.mapped.pair_separator
        return {} if separator == ":" else {"pair_separator": separator}


def join_lists(lists: list[str]) -> str:
    """Join converted lists without duplicates; an :class:`InvalidCell` among them is the result."""
    if invalid := next((each for each in lists if isinstance(each, InvalidCell)), None):
        return invalid
    return ", ".join(dict.fromkeys(item for each in lists if each for item in each.split(", ")))


def check_tags(tags: object) -> dict[str, str]:
    """
    Return the tags that are added to every row, if they are valid.

    :param tags: values by name; None for no tags.
    :raises ValueError: it is not a dict of strings, or a name or value cannot be expressed in the file.
    """
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise ValueError(f"tags must be a dict such as {{'source': 'cmdb'}}; got {quote(tags)}")
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, str) or not name.strip() or not value.strip():
            raise ValueError(f"tags must contain names and values that are not empty; got {quote({name: value})}")
        if re.search(r"[,:\0]", name) or re.search(r"[,\0]", value):
            raise ValueError(
                f"tags must not contain commas, which divide tags, or names with colons; got {quote({name: value})}"
            )
    return {name.strip(): value.strip() for name, value in tags.items()}


def add_tags(cell: str, tags: Mapping[str, str]) -> tuple[str, bool]:
    """
    Add tags to those of a row, which take precedence.

    :param cell: the row's tags, as converted.
    :param tags: values by name.
    :return: all tags, and True if the row had another value for one of them.
    """
    own = {name: value for name, _, value in (item.partition(":") for item in cell.split(", "))} if cell else {}
    added = [f"{name}:{value}" for name, value in tags.items() if name not in own]
    conflict = any(own.get(name, value) != value for name, value in tags.items())
    return ", ".join([*([cell] if cell else []), *added]), conflict
