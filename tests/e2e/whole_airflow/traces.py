"""Everything that a run leaves behind in an Airflow: its database, what is encrypted there too, and its logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography.fernet import Fernet

from tests.support.airflow import LocalAirflow

__all__ = ["database_texts", "log_texts", "places_of"]


def database_texts(airflow: LocalAirflow) -> Iterator[tuple[str, str]]:
    """
    Read every row of every table; what is encrypted, with the key of the instance.

    :return: names of tables, and the text of a row.
    """
    fernet = Fernet(airflow.environment["AIRFLOW__CORE__FERNET_KEY"])
    for (table,) in airflow.query("select name from sqlite_master where type = 'table'"):
        for row in airflow.query(f'select * from "{table}"'):
            for value in row:
                text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
                yield table, fernet.decrypt(text).decode() if text.startswith("gAAAAA") else text


def log_texts(airflow: LocalAirflow) -> Iterator[tuple[str, str]]:
    """
    Read the logs of every task and process.

    :return: names of files, and their text.
    """
    for path in airflow.home.rglob("*.log*"):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(airflow.home)), path.read_text(errors="replace")


def places_of(words: Iterable[str], texts: Iterable[tuple[str, str]]) -> set[str]:
    """
    Look for words.

    :param words: what to look for.
    :param texts: names of places, and what stands there.
    :return: which word stands where.
    """
    words = list(words)
    return {f"{word} in {place}" for place, text in texts for word in words if word in text}
