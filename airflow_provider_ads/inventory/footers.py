"""Rows that describe the table, such as a total below it, and look like servers with a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.cells import InvalidCell
from airflow_provider_ads.inventory.table import Record
from airflow_provider_ads.inventory.template import IDENTITY_COLUMNS, IDENTITY_PAIR

__all__ = ["FooterFinder"]

#: Columns whose cells can be any text.
_NAMES = ("ExternalId", "HostName")

_TOTALS = (
    *("total", "totals", "subtotal", "sub-total", "sum", "average", "count", "totale", "totaal", "totalt", "suma"),
    *("somme", "summe", "gesamt", "gesamtsumme", "gesamtergebnis", "zwischensumme", "anzahl", "итого", "всего"),
    *("合計", "小計", "合计", "小计", "总计", "總計"),
)

_THINGS = r"(?:rows?|records?|servers?|hosts?|vms?|machines?|items?|entries|objects?|results?)"

_AMOUNTS = r" (?:ram|memory|(?:arbeits)?speicher|m[ée]moire|v?cpus?|cores|[kmgt]i?b|disk|storage)"

#: Cells that describe a table, after the NUL that separates cells.
_FOOTER = re.compile(
    rf"\0\(?(?:(?:grand[ -]?|sub[ -]?)?totals?(?: {_THINGS}| number of {_THINGS}| ?[=(#-]? ?[0-9][0-9.,]*\)?"
    rf"|{_AMOUNTS})?"
    rf"|sum of [a-z]+|(?:{'|'.join(map(re.escape, _TOTALS))})(?:{_AMOUNTS})?|(?:row|record) count"
    rf"|number of {_THINGS}|{_THINGS}(?=:)|[0-9][0-9,.]* {_THINGS}(?: [a-z]+)?"
    r"|(?:report )?(?:exported|generated|created|printed)(?= (?:on|at|by)\b|:)|end of (?:file|list|report|table)"
    r"|page [0-9]+(?: of [0-9]+)?)(?=[:)\0]|\Z|(?<=ed) )",
    re.IGNORECASE,
)

#: Such cells without a blank or a colon. A set is searched faster than a text.
_WORDS = frozenset(form for word in _TOTALS for form in (word, word.capitalize(), word.upper()))


class FooterFinder:
    """
    Find rows whose only identity is a text such as ``Total`` or ``Exported on Monday``.

    A text with a blank counts too if it is the only cell of its row, unless the table has other names with blanks.
    """

    def __init__(self) -> None:
        self._has_names_with_blanks = self._has_other_rows = False

    def find(self, records: Sequence[Record], columns: Mapping[str, Sequence[str]]) -> Iterator[tuple[int, str]]:
        """
        Yield the index of each row that describes the table, with the reason.

        :param records: the rows.
        :param columns: the converted cells by template column.
        """
        yield from self._find_counts(records, columns)
        for name in _NAMES:
            cells = columns.get(name, ())
            text = "\0" + "\0".join(cells)
            has_blanks = " " in text or ":" in text
            others = [columns[each] for each in (*IDENTITY_COLUMNS, *IDENTITY_PAIR) if each in columns and each != name]
            if any("" not in other for other in others):
                # Every row has another identity.
                self._has_names_with_blanks = self._has_names_with_blanks or (
                    has_blanks and any(map(_is_text_with_blank, cells))
                )
                self._has_other_rows = self._has_other_rows or any(cells)
                continue
            if (not has_blanks and _WORDS.isdisjoint(cells)) or (
                self._has_names_with_blanks and not _FOOTER.search(text)
            ):
                self._has_other_rows = self._has_other_rows or any(cells)
                continue
            lone = []
            for index, cell in enumerate(cells):
                if not cell or isinstance(cell, InvalidCell):
                    continue
                is_only_identity = not any(other[index] for other in others)
                if is_only_identity and _FOOTER.match(f"\0{cell}"):
                    yield index, self._reason(cell)
                elif _is_text_with_blank(cell) and not self._has_names_with_blanks:
                    if is_only_identity and sum(map(bool, map(str.strip, records[index].cells))) == 1:
                        lone.append(index)
                    else:
                        self._has_names_with_blanks = True
                else:
                    self._has_other_rows = True
            if self._has_other_rows and not self._has_names_with_blanks and len(records[0].cells) > 1:
                for index in lone:
                    yield index, self._reason(cells[index])

    def _find_counts(
        self, records: Sequence[Record], columns: Mapping[str, Sequence[str]]
    ) -> Iterator[tuple[int, str]]:
        """Yield rows such as ``Total,3``: a word in any cell, and no identities but that word and numbers."""
        identities = [columns[each] for each in (*IDENTITY_COLUMNS, *IDENTITY_PAIR) if each in columns]
        names = next((columns[each] for each in reversed(_NAMES) if each in columns), ())
        if not any(map(str.isdecimal, names)):
            return
        for index, cell in enumerate(names):
            if (
                cell.isdecimal()
                and not _WORDS.isdisjoint(map(str.strip, records[index].cells))
                and all(not each or each.isdecimal() or each in _WORDS for each in (row[index] for row in identities))
            ):
                yield index, self._reason(cell)

    @staticmethod
    def _reason(cell: str) -> str:
        return (
            f"{quote(cell)} is the only identity and seems to describe the table. Delete the row, or give the server "
            "another identity."
        )


def _is_text_with_blank(cell: str) -> bool:
    """Return True for a cell with a character that no host name contains."""
    return (" " in cell or ":" in cell) and not isinstance(cell, InvalidCell)
