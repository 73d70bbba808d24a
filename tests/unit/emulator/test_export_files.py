from __future__ import annotations

import csv
import io
import zipfile
from typing import Any

import pytest

from airflow_provider_ads.emulator.export_files import RECOMMENDATION_COLUMNS, make_recommendations, make_summary
from airflow_provider_ads.emulator.import_files import Row, read_import_file
from sample_inventories.rvtools_export import make_rvtools_export
from tests.support.inventories import pack

Rows = list[dict[str, str]]

INVENTORY = """\
ExternalId,HostName,IPAddress,MACAddress,CPU.NumberOfCores,RAM.TotalSizeInMB,RAM.UsedSizeInMB.Avg,CPU.UsagePct.Max,OS.Name,\
Applications,Tags,VMware.VMName
1,a.example,"10.0.0.1, 10.0.0.2",00:50:56:00:00:01,4,8192,4096,25,Windows Server 2019,"erp, web",import:monday,vm-a
2,b.example,10.0.0.3,,2,4096,,,Ubuntu 24.04,erp,"import:monday, env:prod",
3,c.example,,,,,,,AIX 7.2,,,
"""


def rows_of(*texts: str) -> list[Row]:
    """Return the records of import files."""
    found: list[Row] = []
    for text in texts:
        import_file = read_import_file(text.encode())
        assert import_file is not None
        found += import_file.rows
    return found


def unpacked(archive: bytes) -> dict[str, Rows]:
    """Return the rows of each file by the file's name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        return {
            name: list(csv.DictReader(members.read(name).decode().splitlines(keepends=True)))
            for name in members.namelist()
        }


def recommended(rows: list[Row], **preferences: Any) -> Rows:
    files = unpacked(make_recommendations(rows, {"enabled": True, **preferences}, "us-west-2"))
    (found,) = (rows for name, rows in files.items() if name.startswith("EC2InstanceRecommendations-"))
    return found


class TestSummary:
    FILES = unpacked(make_summary(rows_of(INVENTORY)))

    def test_it_has_the_eight_documented_files(self) -> None:
        assert sorted(self.FILES) == [
            f"123456789012_{name}.csv"
            for name in (
                "Application",
                "ApplicationResourceAssociation",
                "ImportTemplate",
                "NetworkInterface",
                "Server",
                "SystemPerformance",
                "Tags",
                "VMwareInfo",
            )
        ]

    def rows(self, name: str) -> Rows:
        return self.FILES[f"123456789012_{name}.csv"]

    def test_applications_have_their_servers(self) -> None:
        servers = {row["hostName"]: row["serverId"] for row in self.rows("Server")}
        applications = {row["name"]: row for row in self.rows("Application")}
        assert {name: row["serverCount"] for name, row in applications.items()} == {"erp": "2", "web": "1"}
        assert [
            (row["configId"], row["applicationConfigurationId"]) for row in self.rows("ApplicationResourceAssociation")
        ] == [
            (servers["a.example"], applications["erp"]["Id"]),
            (servers["b.example"], applications["erp"]["Id"]),
            (servers["a.example"], applications["web"]["Id"]),
        ]

    def test_tags_and_interfaces_have_a_row_each(self) -> None:
        assert [(row["key"], row["value"]) for row in self.rows("Tags")] == [
            ("import", "monday"),
            ("import", "monday"),
            ("env", "prod"),
        ]
        assert [(row["ipAddress"], row["macAddress"]) for row in self.rows("NetworkInterface")] == [
            ("10.0.0.1", "00:50:56:00:00:01"),
            ("10.0.0.2", ""),
            ("10.0.0.3", ""),
        ]
        assert [row["vmName"] for row in self.rows("VMwareInfo")] == ["vm-a"]

    def test_the_import_template_can_be_imported_again_without_adding_servers(self) -> None:
        with zipfile.ZipFile(io.BytesIO(make_summary(rows_of(INVENTORY)))) as members:
            template = members.read("123456789012_ImportTemplate.csv").decode()
        again = rows_of(INVENTORY, template)
        assert not any(row.errors for row in again)
        assert unpacked(make_summary(again))["123456789012_Server.csv"] == self.rows("Server")


class TestRecommendations:
    def test_the_files_are_named_after_the_kind_of_match_and_the_time(self) -> None:
        def names(**preferences: Any) -> list[str]:
            files = unpacked(make_recommendations([], preferences, "us-west-2"))
            return [name.rsplit("-", 5)[0] for name in files]

        spec = {"name": "SPEC", "percentageAdjust": 100.0}
        assert names(cpuPerformanceMetricBasis=spec) == [
            "EC2InstanceRecommendations-DirectMatch",
            "MgnInventory-DirectMatch",
        ]
        assert names(ramPerformanceMetricBasis={"name": "AVG"})[0] == "EC2InstanceRecommendations-CustomMatch"

    def test_each_server_has_a_row_with_the_documented_columns(self) -> None:
        rows = recommended(rows_of(INVENTORY))
        assert len(RECOMMENDATION_COLUMNS) == len(set(RECOMMENDATION_COLUMNS)) == 57
        assert [tuple(row) for row in rows] == [RECOMMENDATION_COLUMNS] * 3
        assert [row["Server.HostName"] for row in rows] == ["a.example", "b.example", "c.example"]
        assert rows[0]["Server.VMware.VMname"] == "vm-a"
        assert rows[0]["Tags"] == "import:monday"

    def test_an_instance_has_enough_cpus_and_memory_and_a_price(self) -> None:
        first, second, third = recommended(rows_of(INVENTORY))
        assert (first["Recommendation.EC2.Instance.Model"], second["Recommendation.EC2.Instance.Model"]) == (
            "c6i.xlarge",
            "c6i.large",
        )
        assert float(first["Recommendation.EC2.Instance.Price.HourlyRate"]) > 0
        assert third["Recommendation.EC2.Instance.Model"] == ""
        assert third["Recommendation.EC2.Remarks"] == "The number of CPUs or the amount of memory is not known."

    def test_a_server_can_be_too_large(self) -> None:
        (row,) = recommended(rows_of("ExternalId,CPU.NumberOfCores,RAM.TotalSizeInMB\n1,1000,1024\n"))
        assert (row["Recommendation.EC2.Instance.Model"], row["Recommendation.EC2.Remarks"]) == (
            "",
            "No instance type is large enough.",
        )

    def test_preferences_change_the_request(self) -> None:
        first, second, _ = recommended(
            rows_of(INVENTORY),
            cpuPerformanceMetricBasis={"name": "MAX"},
            ramPerformanceMetricBasis={"name": "AVG", "percentageAdjust": 50.0},
        )
        # The second server has no such metrics, so its specification counts.
        assert [row["Recommendation.EC2.RequestedvCPU"] for row in (first, second)] == ["1.0", "2.0"]
        assert [row["Recommendation.EC2.RequestedRAMinMB"] for row in (first, second)] == ["2048.0", "2048.0"]
        assert first["UserPreference.Recommendation.CPUSizing"] == "Maximum"

    @pytest.mark.parametrize("excluded", ["c6i", "c6i.large"])
    def test_excluded_types_and_families_are_not_recommended(self, excluded: str) -> None:
        row = recommended(rows_of(INVENTORY), excludedInstanceTypes=[excluded])[1]
        assert row["Recommendation.EC2.Instance.Model"] == "m6i.large"
        assert row["UserPreference.EC2.ExcludedInstances"] == excluded

    def test_preferences_are_repeated_in_words(self) -> None:
        row = recommended(
            rows_of(INVENTORY),
            preferredRegion="ap-northeast-1",
            tenancy="DEDICATED",
            reservedInstanceOptions={
                "purchasingOption": "NO_UPFRONT",
                "offeringClass": "STANDARD",
                "termLength": "THREE_YEAR",
            },
        )[0]
        assert {name: value for name, value in row.items() if name.startswith("UserPreference") and value} == {
            "UserPreference.Recommendation.CPUSizing": "Specification",
            "UserPreference.Recommendation.RAMSizing": "Specification",
            "UserPreference.Region": "Asia Pacific (Tokyo)",
            "UserPreference.EC2.Tenancy": "DEDICATED",
            "UserPreference.EC2.PricingModel": "Reserved STANDARD",
            "UserPreference.EC2.PricingModel.ContractTerm": "3 years",
            "UserPreference.EC2.PricingModel.Payment": "NO_UPFRONT",
        }

    @pytest.mark.parametrize(
        ("os_name", "os_type", "has_remark"),
        [
            ("Windows Server 2022", "Windows", False),
            ("Red Hat Enterprise Linux 9", "RHEL", False),
            ("SUSE Linux Enterprise 15", "SUSE", False),
            ("Ubuntu 24.04", "Linux", False),
            ("AIX 7.2", "Linux", True),
            ("", "Linux", True),
        ],
    )
    def test_an_unsupported_system_counts_as_linux_with_a_remark(
        self, os_name: str, os_type: str, has_remark: bool
    ) -> None:
        (row,) = recommended(rows_of(f"ExternalId,OS.Name,CPU.NumberOfCores,RAM.TotalSizeInMB\n1,{os_name},1,1024\n"))
        assert row["Recommendation.EC2.Instance.OSType"] == os_type
        assert bool(row["Recommendation.EC2.Remarks"]) is has_remark


class TestServers:
    def test_a_server_of_several_imports_has_one_row_with_its_newest_values_and_the_same_id(self) -> None:
        monday = "ExternalId,HostName,RAM.TotalSizeInMB\n1,old.example,1024\n"
        tuesday = "ExternalId,HostName,CPU.NumberOfCores\n1,new.example,2\n2,other.example,2\n"
        (before,) = recommended(rows_of(monday))
        both, other = recommended(rows_of(monday, tuesday))
        assert both["ServerId"] == before["ServerId"] != other["ServerId"]
        assert both["ServerId"].startswith("d-server-")
        assert len(both["ServerId"]) == len("d-server-") + 14
        assert (both["Server.HostName"], both["Server.RAM.TotalSizeInMB"], both["Server.CPU.NumberOfCores"]) == (
            "new.example",
            "1024",
            "2",
        )

    def test_without_servers_only_the_header_remains(self) -> None:
        assert recommended([]) == []

    def test_an_rvtools_export_has_recommendations_too(self) -> None:
        import_file = read_import_file(pack({"export.xlsx": make_rvtools_export(3)}))
        assert import_file is not None
        rows = recommended(list(import_file.rows))
        assert len(rows) == 3
        assert all(row["Server.VMware.VMname"] and row["Recommendation.EC2.Instance.Model"] for row in rows)
