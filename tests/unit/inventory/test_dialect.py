from __future__ import annotations

import io
from collections.abc import Sequence

import pytest

from airflow_provider_ads.inventory.dialect import (
    Layout,
    check_delimiter,
    check_encoding,
    choose_codec,
    detect_encoding,
    detect_layout,
    suggest_encodings,
)
from airflow_provider_ads.inventory.table import AmbiguousFileError
from airflow_provider_ads.inventory.template import ImportFileError


def has_host_name(cells: Sequence[str]) -> bool:
    return "HostName" in cells


TEXT = "HostName,Standort\nweb1,München\n"


@pytest.mark.parametrize(
    ("beginning", "codec"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        ("\ufeff名前\n".encode("utf-16-le"), "utf-16-le"),
        ("\ufeff名前\n".encode("utf-16-be"), "utf-16-be"),
        ("名前,IP\n日本,10.0.0.1\n".encode("utf-16-le"), "utf-16-le"),
        ("\ufeffName".encode("utf-32-le"), "utf-32-le"),
        ("\ufeffName".encode("utf-32-be"), "utf-32-be"),
        (b"HostName\nweb1\nweb\x002\n", "utf-8"),
        (b"HostName\nweb1\nweb\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x002\n", "utf-8"),
        (b"", "utf-8"),
    ],
)
def test_detects_utf_8_utf_16_and_utf_32(beginning: bytes, codec: str) -> None:
    assert detect_encoding(beginning) == codec


@pytest.mark.parametrize(
    ("encoding", "beginning", "codec"),
    [
        (None, TEXT.encode("utf-16-be"), "utf-16-be"),
        ("latin-1", TEXT.encode("latin-1"), "iso8859-1"),
        ("UTF8", TEXT.encode(), "utf-8"),
        ("utf-8-sig", TEXT.encode("utf-8-sig"), "utf-8"),
        ("utf-16", TEXT.encode("utf-16-be"), "utf-16-be"),
        ("utf-16", "\ufeffName".encode("utf-16-be"), "utf-16-be"),
        ("utf-16", "名前".encode("utf-16-le"), "utf-16-le"),
    ],
)
def test_chooses_the_codec_of_the_given_encoding(encoding: str | None, beginning: bytes, codec: str) -> None:
    assert choose_codec(encoding, beginning) == codec


@pytest.mark.parametrize("encoding", ["utf-9", "", "hex", "rot13", "undefined", "idna", "a\0b"])
def test_refuses_an_encoding_that_python_does_not_have(encoding: str) -> None:
    assert check_encoding("cp1252") == "cp1252"
    with pytest.raises(ValueError, match=r"^encoding must be a text encoding of Python"):
        check_encoding(encoding)


@pytest.mark.parametrize(("encoding", "written"), [("cp1252", "utf-8-sig"), ("utf-8", "utf-16"), ("utf-16", "utf-32")])
def test_refuses_an_encoding_that_the_byte_order_mark_contradicts(encoding: str, written: str) -> None:
    with pytest.raises(ImportFileError, match=rf"^The file starts with .* so encoding='{encoding}' is wrong\."):
        choose_codec(encoding, TEXT.encode(written))


@pytest.mark.parametrize(
    ("text", "written", "readings"),
    [
        ("München;a", "cp1252", {"cp1252": "'München;a'", "cp1251": "'Mьnchen;a'", "cp850": "'M³nchen;a'"}),
        # The byte of ü in DOS does not exist in cp1252.
        ("Müller;a", "cp850", {"cp1251": "'MЃller;a'", "cp932": "'M\u3015ler;a'", "cp850": "'Müller;a'"}),
        # The first line reads the same in cp1252 and cp1250, but the second one does not.
        (
            "München\nPřerov",
            "cp1250",
            {
                "cp1252": "'München'",
                "cp1250": "'Přerov' instead of 'Pøerov'",
                "cp1251": "'Mьnchen'",
                "cp850": "'M³nchen'",
            },
        ),
    ],
)
def test_suggests_the_encodings_that_fit_and_how_they_read(text: str, written: str, readings: dict[str, str]) -> None:
    line, end, rest = text.encode(written).partition(b"\n")
    position = next(place for place, byte in enumerate(line) if byte > 127)
    suggested = suggest_encodings(line, position, [end + rest] if end else [])
    assert suggested == readings


def test_suggests_an_encoding_with_two_bytes_for_a_character() -> None:
    assert suggest_encodings("サーバ,a".encode("cp932"), 0, [])["cp932"] == "'サーバ,a'"


def test_suggests_no_encoding_that_a_later_chunk_rules_out() -> None:
    assert "cp1252" in suggest_encodings(b"M\xfcnchen", 1, [b"web1"])
    readings = suggest_encodings(b"M\xfcnchen", 1, [b"web1", b"web\x81"])
    assert "cp1252" not in readings
    assert readings["cp850"] == "'M³nchen'"


@pytest.mark.parametrize(
    ("text", "delimiter", "titles"),
    [
        ("HostName,OS\nweb1,a\n", ",", 0),
        ("HostName;OS\nweb1;a\n", ";", 0),
        ("HostName\tOS\nweb1\ta\n", "\t", 0),
        ("HostName|OS\nweb1|a\n", "|", 0),
        ("OS;HostName;RAM\na;web1;4,0\nb;web2;8,5\n", ";", 0),
        ('"a, b";"HostName"\n"c, d";web1\n', ";", 0),
        ('"OS;\nname","HostName"\na,web1\n', ",", 0),
        (" HostName ; OS\nweb1;a\n", ";", 0),
        # All delimiters read a single column in the same way.
        ("HostName\nweb1\n", ",", 0),
        # Extra cells fit worse than none.
        ("HostName\nweb1\nweb2,a\n", ";", 0),
        ("HostName\nweb1\nweb2;a\n", ",", 0),
        # Rows above the header.
        ("Inventory\n\nAugust; all sites\nHostName;OS;RAM\nweb1;a;1\n", ";", 2),
        ("Inventory,,\nHostName,OS,RAM\nweb1,a,1\n", ",", 1),
        ("a\n" * 19 + "HostName,OS\n", ",", 19),
        # Without a header, the delimiter of the first row is the most likely one.
        ("a\n" * 20 + "HostName,OS\n", ",", 0),
        ("Name;OS\nweb1;4,0\n", ";", 0),
        ('"Name,1";OS\nweb1;4,0\n', ";", 0),
        ("Inventory\nName;OS\nweb1;a\n", ";", 0),
        # The last row can be incomplete.
        ('HostName,OS\nweb1,"a\n', ",", 0),
        ("", ",", 0),
    ],
)
def test_finds_the_delimiter_and_the_header(text: str, delimiter: str, titles: int) -> None:
    lines = io.StringIO(text, newline="").readlines()
    assert detect_layout(lines, has_host_name) == Layout(delimiter, titles)


def test_a_given_delimiter_is_not_questioned() -> None:
    assert detect_layout(["HostName\n", "web1;a\n"], has_host_name, ";") == Layout(";", 0)
    assert detect_layout(["a;HostName,b\n", "web1;a\n"], has_host_name, ":") == Layout(":", 0)


@pytest.mark.parametrize(
    ("text", "answers", "quoted"),
    [
        (
            "HostName\nweb1;a\nweb2;b\n",
            ('delimiter=",",', 'delimiter=";",'),
            "With semicolons, the header is ['HostName'] and a row is ['web1', 'a'].",
        ),
        (
            "HostName\nweb1\ta\n",
            ('delimiter=",",', 'delimiter="\\t",'),
            "With commas, the header is ['HostName'] and a row is ['web1\\ta'].",
        ),
        (
            "HostName\nweb1,\nweb2\n",
            ('delimiter=",",', 'delimiter=";",'),
            "With commas, the header is ['HostName'] and a row is ['web1', ''].",
        ),
        (
            "HostName;a,HostName,b;HostName\nweb1;a,c,b;d\n",
            ('delimiter=",",', 'delimiter=";",'),
            "With commas, the header is ['HostName;a', 'HostName', 'b;HostName'].",
        ),
    ],
)
def test_asks_for_the_delimiter_if_two_fit_equally_well(text: str, answers: tuple[str, ...], quoted: str) -> None:
    lines = io.StringIO(text, newline="").readlines()
    with pytest.raises(AmbiguousFileError) as caught:
        detect_layout(lines, has_host_name)
    [question] = caught.value.questions
    assert question.answers == answers
    assert quoted in question.text
    for answer in answers:
        delimiter = answer.split('"')[1].replace("\\t", "\t")
        assert detect_layout(lines, has_host_name, delimiter) == Layout(delimiter, 0)


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "\r", "\0", "\\t"])
def test_refuses_a_delimiter_that_cannot_separate_cells(delimiter: str) -> None:
    assert check_delimiter("\t") == "\t"
    with pytest.raises(ValueError, match=r"^delimiter must be one character, such as ';' or '\\t'; got "):
        check_delimiter(delimiter)
