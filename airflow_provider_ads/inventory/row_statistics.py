"""Statistics about the rows that are imported, and the warnings that follow from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from airflow_provider_ads.discovery.limits import (
    APPLICATIONS_PER_ACCOUNT,
    IMPORT_RECORDS_PER_ACCOUNT,
    IMPORTED_SERVERS_PER_ACCOUNT,
    SERVERS_PER_APPLICATION,
)
from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.quantities import SAMPLE_ROWS
from airflow_provider_ads.inventory.template import IDENTITY_COLUMNS, IDENTITY_PAIR, PERCENTAGE_COLUMNS

__all__ = ["RowStatistics"]

_USED_COLUMNS = ("RAM.UsedSizeInMB.Avg", "RAM.UsedSizeInMB.Max")


class RowStatistics:
    """
    Statistics about the first :data:`SAMPLE_ROWS` rows, which are as many as an account can import.

    :ivar rows: number of rows that were added.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._external_ids: Counter[str] = Counter()
        self._identities: Counter[int] = Counter()
        self._addresses: Counter[str] = Counter()
        self._applications: Counter[str] = Counter()
        self._repeated_tags: Counter[str] = Counter()
        self._impossible: Counter[str] = Counter()

    def add(self, columns: Mapping[str, Sequence[str]], count: int) -> None:
        """
        Add rows.

        :param columns: the converted cells by template column.
        :param count: number of rows.
        """
        self.rows += count
        if self.rows - count >= SAMPLE_ROWS:
            return
        self._external_ids.update(filter(None, columns.get("ExternalId", ())))
        identities = [columns[name] for name in (*IDENTITY_COLUMNS, *IDENTITY_PAIR) if name in columns]
        # Hashes need less memory than the identities; that two of 25,000 are equal by chance is practically impossible.
        self._identities.update(map(hash, zip(*identities, strict=True)))
        for name, items in (("IPAddress", self._addresses), ("Applications", self._applications)):
            for cell, number in Counter(filter(None, columns.get(name, ()))).items():
                for item in cell.split(", "):
                    items[item] += number
        for cell, number in Counter(columns.get("Tags", ())).items():
            tags = set(cell.split(", "))
            names = Counter(tag.partition(":")[0] for tag in tags)
            if len(names) < len(tags):
                self._repeated_tags[names.most_common(1)[0][0]] += number
        for name in PERCENTAGE_COLUMNS:
            if name in columns:
                self._impossible[name] += sum(float(cell) > 100 for cell in columns[name] if cell)
        for name in _USED_COLUMNS:
            if name in columns and "RAM.TotalSizeInMB" in columns:
                pairs = zip(columns[name], columns["RAM.TotalSizeInMB"], strict=True)
                self._impossible[name] += sum(float(used) > float(total) for used, total in pairs if used and total)

    @property
    def duplicate_rows(self) -> int:
        """Number of rows that have the same ExternalId, or the same identities, as one before them."""
        external_ids = self._external_ids.total() - len(self._external_ids)
        return max(external_ids, self._identities.total() - len(self._identities))

    @property
    def shared_addresses(self) -> int:
        """Number of IP addresses that several rows have."""
        return sum(count > 1 for count in self._addresses.values())

    def warnings(self) -> list[str]:
        """Return a sentence for each fact that the user might not expect."""
        about = f" among the first {SAMPLE_ROWS:,}" if self.rows > SAMPLE_ROWS else ""
        warnings = []
        if count := self.duplicate_rows:
            examples = ", ".join(quote(text) for text, number in self._external_ids.most_common(3) if number > 1)
            warnings.append(
                f"Rows{about} with the identities of an earlier row, which AWS merges into one server: {count:,}"
                f"{f', such as {examples}' if examples else ''}."
            )
        if count := self.shared_addresses:
            address, number = self._addresses.most_common(1)[0]
            warnings.append(
                f"IP addresses of several rows{about}, whose servers AWS might merge: {count:,}, such as {address} in "
                f"{number:,} rows."
            )
        if count := self._repeated_tags.total():
            warnings.append(
                f"Rows{about} with several values for one tag, of which AWS might keep one: {count:,}, such as for "
                f"{quote(self._repeated_tags.most_common(1)[0][0])}."
            )
        for name, count in self._impossible.items():
            if count:
                what = "more than 100 %" if name in PERCENTAGE_COLUMNS else "more than RAM.TotalSizeInMB"
                warnings.append(f"Rows{about} whose {name} is {what}: {count:,}.")
        if (count := len(self._applications)) > APPLICATIONS_PER_ACCOUNT:
            warnings.append(f"The rows name {count:,} applications; an account can have {APPLICATIONS_PER_ACCOUNT:,}.")
        for name, count in self._applications.most_common(3):
            if count > SERVERS_PER_APPLICATION:
                warnings.append(
                    f"Application {quote(name)} has {count:,} servers; AWS allows {SERVERS_PER_APPLICATION:,}."
                )
        if self.rows > IMPORT_RECORDS_PER_ACCOUNT:
            warnings.append(
                f"There are {self.rows:,} rows; an account can hold {IMPORT_RECORDS_PER_ACCOUNT:,} import records."
            )
        elif self.rows > IMPORTED_SERVERS_PER_ACCOUNT:
            warnings.append(
                f"There are {self.rows:,} rows; an account can hold {IMPORTED_SERVERS_PER_ACCOUNT:,} imported servers "
                "unless AWS has raised that quota."
            )
        return warnings
