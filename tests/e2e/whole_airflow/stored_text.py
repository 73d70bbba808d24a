"""Search everything that Airflow stores: its database, including encrypted values, and its logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography.fernet import Fernet

from tests.support.airflow import LocalAirflow

__all__ = ["database_texts", "log_texts", "places_of", "tables"]


def tables(airflow: LocalAirflow) -> list[str]:
    """Return the names of the database's tables."""
    return [name for (name,) in airflow.query("select tablename from pg_tables where schemaname = 'public'")]


def database_texts(airflow: LocalAirflow, table_names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of the table and the text of each value in tables; encrypted values are decrypted."""
    fernet = Fernet(airflow.environment["AIRFLOW__CORE__FERNET_KEY"])
    for table in table_names:
        for row in airflow.query(f'select * from "{table}"'):
            for value in row:
                text = bytes(value).decode(errors="replace") if isinstance(value, memoryview) else str(value)
                yield table, fernet.decrypt(text).decode() if text.startswith("gAAAAA") else text


def log_texts(airflow: LocalAirflow) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every log file of tasks and components."""
    for path in airflow.home.rglob("*.log*"):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(airflow.home)), path.read_text(errors="replace")


def places_of(words: Iterable[str], texts: Iterable[tuple[str, str]]) -> set[str]:
    """
    Search texts for words.

    :param words: the words to find.
    :param texts: pairs of a place's name and the text there.
    :return: ``"<word> in <place>"`` for each find.
    """
    words = list(words)
    return {f"{word} in {place}" for place, text in texts for word in words if word in text}
