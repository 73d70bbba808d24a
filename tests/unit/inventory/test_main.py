"""The command line of the dry run."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_ads.inventory.__main__ import main
from sample_inventories.rvtools_export import make_rvtools_export

ROOT = Path(__file__).parents[3]


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def proposed_mapping(output: str) -> dict[str, object]:
    """Return the mapping that was printed as Python."""
    lines = output.splitlines()
    start, end = lines.index("    column_mapping={"), lines.index("    },")
    mapping: dict[str, object] = ast.literal_eval("{" + "".join(lines[start + 1 : end]) + "}")
    return mapping


class TestDryRun:
    def test_the_proposed_mapping_can_be_pasted_and_is_used(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = write(
            tmp_path / "cmdb.csv", 'Server Name,IP Address,"RAM ""MB""",Rack,OS.Name\nweb1,10.0.0.1,4096,R1,AIX\n'
        )
        assert main([file]) == 0
        output, errors = capsys.readouterr()
        assert errors == ""
        assert "A proposed mapping for 3 of 5 headers, used below." in output
        assert proposed_mapping(output) == {
            "Server Name": "HostName",
            "IP Address": "IPAddress",
            'RAM "MB"': "RAM.TotalSizeInMB",
        }
        assert "No proposal for these headers. Map those that you need, or filter rows by their values:\n" in output
        assert "\n    'Rack': 'R1'\n" in output
        assert re.search("^'?Server Name'? .*HostName", output, re.MULTILINE)
        assert list(tmp_path.iterdir()) == [Path(file)]

    def test_other_headers_are_listed_with_their_most_common_values(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        classes, notes = ("Service", "Linux", "Linux"), "moves soon " * 9
        rows = [f"web{number},{classes[number % 3]},,{notes},R{number % 7}" for number in range(70)]
        file = write(tmp_path / "cmdb.csv", "\n".join(["Server Name,Class,Owner,Notes,Rack", *rows]))
        assert main([file]) == 0
        assert capsys.readouterr().out.partition("by their values:\n")[2].splitlines()[:5] == [
            "    'Class': 'Linux', 'Service'",
            "    'Owner'",
            "    'Notes': 'moves soon moves soon moves soon...'",
            "    'Rack': 'R0', 'R1', 'R2', 'R3', 'R4' and 2 more",
            "",
        ]

    def test_the_first_40_other_headers_are_listed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        headers = ["Server Name", *(f"Disk {number}" for number in range(45))]
        assert main([write(tmp_path / "cmdb.csv", ",".join(headers) + "\nweb1,20\n")]) == 0
        assert "    'Disk 39'\n    and 5 more\n" in capsys.readouterr().out

    def test_headers_cannot_control_the_terminal(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = write(tmp_path / "cmdb.csv", "Server\x1b Name,\x1b[2J\nweb1,\n")
        assert main([file]) == 0
        output = capsys.readouterr().out
        assert "\x1b" not in output
        assert proposed_mapping(output) == {"Server\x1b Name": "HostName"}

    def test_a_mapping_from_a_file_replaces_the_proposal(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = write(tmp_path / "cmdb.csv", "Server Name,Alias\nweb1,www\n")
        mapping = write(tmp_path / "mapping.json", json.dumps({"Alias": "HostName"}))
        assert main([file, "--mapping", mapping]) == 0
        output = capsys.readouterr().out
        assert re.search("^'?Alias'? .*HostName", output, re.MULTILINE)
        assert "column_mapping={" not in output

    def test_arguments_are_those_of_the_dag(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = write(tmp_path / "cmdb.csv", "Server Name;RAM;Class\nweb1;1,5;Linux\nSAN;;Storage\n")
        arguments = write(
            tmp_path / "arguments.txt",
            """
                decimal=",",
                column_mapping={  # from the dry run
                    "Server Name": "HostName",
                    "RAM": {"column": "RAM.TotalSizeInMB", "unit": "GB"},
                },
                row_filter={"Class": {"not": ["Storage"]}},
            """,
        )
        output = tmp_path / "prepared"
        assert main([file, "--arguments", arguments, "--output", str(output)]) == 0
        assert (output / "part-0001.csv").read_text().split() == ["HostName,RAM.TotalSizeInMB", "web1,1536"]
        assert "Rows filtered by 'Class': 1" in capsys.readouterr().out

    def test_files_are_written_if_asked_for(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = write(tmp_path / "cmdb.csv", "Server Name\nweb1\n")
        output = tmp_path / "new" / "prepared"
        assert main([file, "--output", str(output)]) == 0
        assert [path.name for path in output.iterdir()] == ["part-0001.csv"]
        assert f"Written to {output}: part-0001.csv." in capsys.readouterr().out

    def test_invalid_rows_are_reported_with_the_rest(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = write(tmp_path / "cmdb.csv", "Server Name,OS\nweb1,Linux\n,Linux\n")
        assert main([file]) == 1
        output, errors = capsys.readouterr()
        assert re.search("^rows read +2$", output, re.MULTILINE)
        assert errors.startswith("1 of 2 rows cannot be imported.")
        assert "line 3: " in errors

    def test_a_complete_rvtools_export_is_not_converted(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([write(tmp_path / "export.xlsx", make_rvtools_export(1))]) == 0
        assert capsys.readouterr().out.startswith("Source: complete RVTools export, imported unchanged\n")


class TestErrors:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "The file is empty."),
            ("Rack\nR1\n", "No column identifies the servers."),
            ('Server\nweb1\n"', "cannot be read"),
            (b"PK\x03\x04", "The file is a truncated or damaged ZIP file or workbook"),
        ],
    )
    def test_a_file_that_cannot_be_prepared(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, message: str
    ) -> None:
        assert main([write(tmp_path / "cmdb.csv", content)]) == 1
        assert message in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "mapping.json cannot be used: "),
            ('{"a": "HostName", "a": null}', "mapping.json cannot be used: it repeats 'a'"),
            ("[]", "column_mapping must be a dict"),
            (None, "No such file"),
        ],
    )
    def test_a_wrong_mapping_file(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
    ) -> None:
        file = write(tmp_path / "cmdb.csv", "Server\nweb1\n")
        if content is not None:
            write(tmp_path / "mapping.json", content)
        assert main([file, "--mapping", str(tmp_path / "mapping.json")]) == 1
        errors = capsys.readouterr().err
        assert message in errors
        assert errors.count("\n") == 1

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("decimal=", "arguments.txt cannot be used: "),
            ("decimal=sep,", "arguments.txt cannot be used: "),
            ('"decimal"', 'arguments.txt cannot be used: it must contain arguments such as encoding="cp1252",'),
            ('column_mapping={"a": "HostName", "a": None}', "arguments.txt cannot be used: it repeats 'a'"),
            (
                'task_id="prepare"',
                "arguments.txt cannot be used: it contains 'task_id'. Keep only arguments about the file.",
            ),
            ('tags="x"', "tags must be a dict"),
        ],
    )
    def test_wrong_arguments(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
    ) -> None:
        file = write(tmp_path / "cmdb.csv", "Server\nweb1\n")
        assert main([file, "--arguments", write(tmp_path / "arguments.txt", content)]) == 1
        assert message in capsys.readouterr().err

    def test_a_file_that_does_not_exist(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([str(tmp_path / "missing.csv")]) == 1
        assert "No such file" in capsys.readouterr().err


def test_the_command_imports_neither_airflow_nor_boto3(tmp_path: Path) -> None:
    file = write(tmp_path / "cmdb.csv", "Server\nweb1\n")
    code = (
        "import runpy, sys\n"
        "sys.argv[1:] = [sys.argv[1]]\n"
        "try:\n    runpy.run_module('airflow_provider_ads.inventory', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'airflow', 'boto3', 'botocore'} & sys.modules.keys()\n"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, file], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "A dry run: nothing was written." in done.stdout


def test_a_line_that_prepare_asks_for_can_be_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "cmdb.csv", 'Server Name,Memory (MB)\nweb1,"4096,5"\n')
    assert main([file]) == 1
    assert 'decimal=",",' in capsys.readouterr().err
    assert main([file, "--decimal", ","]) == 0
    assert re.search(r"RAM.TotalSizeInMB .* 4,096.5", capsys.readouterr().out)
