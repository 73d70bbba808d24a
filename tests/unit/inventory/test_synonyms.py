from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.inventory.synonyms import names_servers, propose_entry, propose_mapping
from airflow_provider_ads.inventory.template import TEMPLATE_COLUMNS

INVENTORIES = Path(__file__).parents[2] / "data" / "inventories"


def memory(unit: str) -> dict[str, str]:
    return {"column": "RAM.TotalSizeInMB", "unit": unit}


ENVIRONMENT = {"column": "Tags", "tag": "environment"}

#: The right mapping of each file, and the headers that mean the same as one of them but are worse.
ANSWERS: dict[str, dict[str, Any]] = {
    # Labels of the table cmdb_ci_server. "CPU core count" is that of one CPU.
    "servicenow.csv": {
        "Fully qualified domain name": "HostName",
        "IP Address": "IPAddress",
        "MAC Address": "MACAddress",
        "Operating System": "OS.Name",
        "OS Version": "OS.Version",
        "RAM (MB)": "RAM.TotalSizeInMB",
        "CPU count": "CPU.NumberOfProcessors",
        "Environment": ENVIRONMENT,
        "Sys ID": "ExternalId",
    },
    # "cpucore" is that of one CPU, and "virtual_host" is the hypervisor's.
    "device42.csv": {
        "name": "HostName",
        "asset_no": "ExternalId",
        "uuid": "SMBiosId",
        "os": "OS.Name",
        "osver": "OS.Version",
        "memory": "RAM.TotalSizeInMB",
        "cpucount": "CPU.NumberOfProcessors",
        "macaddress": "MACAddress",
        "ip_address": "IPAddress",
        "tags": "Tags",
    },
    # Prism Central's list of VMs.
    "nutanix.csv": {
        "VM Name": "VMware.VMName",
        "IP Addresses": "IPAddress",
        "Cores": "CPU.NumberOfCores",
        "Memory Capacity": "RAM.TotalSizeInMB",
        "CPU Usage": "CPU.UsagePct.Avg",
        "Categories": "Tags",
    },
    # Get-VM | Export-Csv. "Guest" is a name and an operating system, and "Id" is not a managed object reference.
    "powercli.csv": {"Name": "HostName", "NumCpu": "CPU.NumberOfLogicalCores", "MemoryMB": "RAM.TotalSizeInMB"},
    "rvtools_vinfo.csv": {
        "VM": "VMware.VMName",
        "DNS Name": "HostName",
        "CPUs": "CPU.NumberOfLogicalCores",
        "Memory": "RAM.TotalSizeInMB",
        "Primary IP Address": "IPAddress",
        "OS according to the VMware Tools": "OS.Name",
        "VM ID": "VMware.MoRefId",
        "SMBIOS UUID": "SMBiosId",
        "VI SDK UUID": "VMware.VCenterId",
    },
    # The import file of Azure Migrate: https://learn.microsoft.com/azure/migrate/tutorial-discover-import
    "azure_migrate.csv": {
        "*Server name": "HostName",
        "IP addresses": "IPAddress",
        "*Cores": "CPU.NumberOfCores",
        "*Memory (In MB)": "RAM.TotalSizeInMB",
        "*OS name": "OS.Name",
        "OS version": "OS.Version",
        "CPU utilization percentage": "CPU.UsagePct.Avg",
    },
    "infrastructure_team.csv": {
        "FQDN": "HostName",
        "Primary IP": "IPAddress",
        "Secondary IPs": "IPAddress",
        "MAC-Address": "MACAddress",
        "# Sockets": "CPU.NumberOfProcessors",
        "Total Cores": "CPU.NumberOfCores",
        "RAM [GB]": memory("GB"),
        "OS": "OS.Name",
        "OS-Version": "OS.Version",
        "Avg. CPU %": "CPU.UsagePct.Avg",
        "Peak CPU %": "CPU.UsagePct.Max",
        "Avg Memory Used (GB)": {"column": "RAM.UsedSizeInMB.Avg", "unit": "GB"},
        "Max Memory Used (GB)": {"column": "RAM.UsedSizeInMB.Max", "unit": "GB"},
        "Disk Read IOPS (avg)": "DiskReadsOpsPerSecond.Avg",
        "Disk Write IOPS (avg)": "DiskWritesOpsPerSecond.Avg",
        "Network In Avg (KB/s)": "NetworkReadsPerSecondInKB.Avg",
        "Network Out Avg (KB/s)": "NetworkWritesPerSecondInKB.Avg",
    },
    "application_owner.csv": {
        "Application Name": "Applications",
        "Server": "HostName",
        "IP": "IPAddress",
        "Environment": ENVIRONMENT,
        "vCPU": "CPU.NumberOfLogicalCores",
        "Memory": "RAM.TotalSizeInMB",
        "Operating System": "OS.Name",
        "Move Group": "ApplicationWave",
        "Tags": {"column": "Tags", "separator": ";", "pair_separator": "="},
    },
}


def read_inventory(name: str) -> list[list[str]]:
    with (INVENTORIES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=";" if name == "infrastructure_team.csv" else ","))


class TestFiles:
    def test_every_file_has_an_answer(self) -> None:
        assert {path.name for path in INVENTORIES.iterdir()} == ANSWERS.keys()

    @pytest.mark.parametrize("name", ANSWERS)
    def test_nine_tenths_of_the_mappable_headers_are_proposed_and_none_is_wrong(self, name: str) -> None:
        header, *rows = read_inventory(name)
        assert {len(row) for row in rows} == {len(header)}
        proposed, answers = propose_mapping(header, rows), ANSWERS[name]
        right = [each for each in answers if proposed.get(each) == answers[each]]
        print(f"{name}: {len(right)} of {len(answers)} mappable headers proposed, {len(header)} headers")
        assert {each: entry for each, entry in proposed.items() if answers.get(each) != entry} == {}
        assert len(right) >= 0.9 * len(answers)

    @pytest.mark.parametrize("name", ANSWERS)
    def test_no_header_is_wrong_without_rows(self, name: str) -> None:
        proposed, answers = propose_mapping(read_inventory(name)[0]), ANSWERS[name]
        # Without cells, the separator of the tags is unknown.
        assert {each for each in proposed.keys() - {"Tags"} if answers.get(each) != proposed[each]} == set()


class TestProposeEntry:
    @pytest.mark.parametrize(
        ("column", "headers"),
        [
            ("ExternalId", "asset-tag, Asset Tag, asset_no, CI ID, sys_id, u_cmdb_id"),
            ("SMBiosId", "UUID, BIOS UUID, SMBIOS_GUID0, vm_uuid, ansible_product_uuid"),
            ("IPAddress", "ip, IPs, Ip Addr, IP-Address, ip_addresses, IPv4, Private IP, IP Address 2, VM IP, IP.1"),
            ("MACAddress", "MAC, MACs, mac address, MAC_Addresses0, PrimaryMACAddress"),
            (
                "HostName",
                "server_name, HOSTNAME, host-name, FQDN, dns name, Computer Name, Server, Name, Netbios_Name0",
            ),
            ("VMware.VMName", "VM, vm_name, VMName, Virtual Machine"),
            ("OS.Name", "os, OS Name, Operating System, Guest OS, operating_system, ansible_distribution"),
            ("OS.Version", "OS Version, osver, os-version, Operating System Version"),
            ("CPU.NumberOfProcessors", "Sockets, CPU Sockets, # CPUs, cpu_count, No. of CPUs, NrProcessors, numCPUs"),
            ("CPU.NumberOfCores", "Cores, cpu.cores, CPU-Cores, Num Cores, Core Count, Physical Cores, # of cores"),
            ("CPU.NumberOfLogicalCores", "vCPU, vCPUs, v-cpu, Virtual CPUs, Logical Processors, Allocated vCPU"),
            (
                "RAM.TotalSizeInMB",
                "RAM, Memory, ram_mb, Memory Size (MB), Allocated memory (MB), RAM in MiB, Total RAM",
            ),
            ("CPU.UsagePct.Avg", "CPU usage %, cpu_usage_pct, Avg CPU utilization, CPU Utilisation (avg)"),
            ("CPU.UsagePct.Max", "Peak CPU %, cpu_max_percent, Max CPU utilization"),
            ("Applications", "Application, Applications, Application(s), app, App Name, Business Application"),
            ("ApplicationWave", "Wave, Migration Wave, move_group, wave #"),
            ("Tags", "tags, Labels"),
            ("RAM.TotalSizeInMB", "ram.totalsizeinmb, RAM_TotalSizeInMB"),
        ],
    )
    def test_synonyms_in_any_spelling(self, column: str, headers: str) -> None:
        assert {header: propose_entry(header) for header in headers.split(", ")} == dict.fromkeys(
            headers.split(", "), column
        )

    @pytest.mark.parametrize(
        ("header", "unit"),
        [
            *(("Memory (GB)", "GB"), ("ram_gb", "GB"), ("RAM [GiB]", "GB"), ("Memory in GB", "GB")),
            *(("MemoryGB", "GB"), ("Memory, GB", "GB"), ("memory_tb", "TB"), ("RAM (bytes)", "B"), ("Mem KB", "KB")),
        ],
    )
    def test_a_unit_that_differs_from_the_templates_is_part_of_the_entry(self, header: str, unit: str) -> None:
        assert propose_entry(header) == memory(unit)

    def test_a_rate_needs_bytes_per_second(self) -> None:
        column = "DiskReadsPerSecondInKB.Max"
        assert propose_entry("Disk Read Max (KB/s)") == column
        assert propose_entry("Peak disk read MBps") == {"column": column, "unit": "MB"}
        assert propose_entry("Peak disk read Mbps") is None
        assert propose_entry("Peak disk read (MB)") is None
        assert propose_entry("Peak disk read") is None

    @pytest.mark.parametrize(
        "headers",
        [
            "Host, VMHost, Host IP, IP address of host, Host CPU, Host Mem, Cluster, Datacenter, vCenter, Folder",
            "Memory used, Memory usage, Memory usage %, Active Memory, Free memory, Max memory, Average memory",
            "CPU, CPU Model, CPU (MHz), CPU speed, CPU Load, CPU Usage, CPU ready %, Processor, Max CPUs",
            "Cores per socket, Cores p/s, CoresPerSocket, threads per core, ansible_processor_cores",
            "Disk, Disks, Provisioned Space, Storage (GB), Disk 1 read ops, In Use MiB, OS Disk (GB)",
            "Guest, GuestId, Guest state, OS Type, OS Family, OS build, OS architecture, OS & version, Service Pack",
            "Model, Manufacturer, Location, Owner, Application Owner, Server Role, Server Type, Serial number, Domain",
            "Gateway IP, Public IP, Management IP, iLO IP, Virtual IP, NAT IP, Number of IPs, MAC count, Subnet, DNS",
            "Id, Device ID, VM ID, Server ID, Instance UUID, Label, TAG, Version, Description, Hostname / IP",
            "Environment type, Application ID, Wave date, Avg CPU max, , %, GB",
        ],
    )
    def test_uncertain_headers_are_not_proposed(self, headers: str) -> None:
        assert {header: entry for header in headers.split(", ") if (entry := propose_entry(header))} == {}

    def test_perfmon_counts_reads_as_operations(self) -> None:
        assert propose_entry("Avg Disk Reads/sec") == "DiskReadsOpsPerSecond.Avg"
        assert propose_entry("Avg Disk Read Bytes/sec") == {"column": "DiskReadsPerSecondInKB.Avg", "unit": "B"}

    def test_a_report_of_configuration_manager_has_the_name_of_its_table_before_each_header(self) -> None:
        assert propose_entry("Details_Table0_ComputerName") == "HostName"
        assert propose_entry("Details_Table0_MemoryKBytes") == memory("KB")

    def test_a_template_column_is_mapped_to_itself(self) -> None:
        assert {column: propose_entry(column) for column in TEMPLATE_COLUMNS} == {
            column: column for column in TEMPLATE_COLUMNS
        }

    def test_a_very_long_header_is_not_examined(self) -> None:
        assert propose_entry("server" * 1_000_000) is None
        assert propose_entry("total" * 19) is None

    @pytest.mark.parametrize(
        ("header", "entry"),
        [
            ("Rechnername", "HostName"),
            ("IP-Adresse", "IPAddress"),
            ("MAC-Adressen", "MACAddress"),
            ("Arbeitsspeicher (GB)", memory("GB")),
            ("Mémoire (Go)", memory("GB")),
            ("memoire_go", memory("GB")),
            ("Hauptspeicher", "RAM.TotalSizeInMB"),
            ("Betriebssystem", "OS.Name"),
            ("Betriebssystemversion", "OS.Version"),
            ("Anwendungen", "Applications"),
            ("Inventarnummer", "ExternalId"),
        ],
    )
    def test_german_headers(self, header: str, entry: object) -> None:
        assert propose_entry(header) == entry


class TestNamesServers:
    @pytest.mark.parametrize("cells", [["Rack", "Server Name"], ["HostName"], ["", "IP"], ["VM Name", "vCPU"]])
    def test_a_header_contains_names_or_addresses(self, cells: list[str]) -> None:
        assert names_servers(cells)

    @pytest.mark.parametrize("cells", [[], ["Servers in Basel"], ["Rack", "RAM (GB)", "Tags"], ["web1", "10.0.0.1"]])
    def test_titles_and_rows_do_not_count_as_headers(self, cells: list[str]) -> None:
        assert not names_servers(cells)


class TestProposeMapping:
    def test_the_better_of_two_headers_for_one_value_is_proposed(self) -> None:
        assert propose_mapping(["Name", "Host Name", "FQDN"]) == {"FQDN": "HostName"}
        assert propose_mapping(["MemoryGB", "MemoryMB"]) == {"MemoryMB": "RAM.TotalSizeInMB"}
        assert propose_mapping(["Server Name", "HostName"]) == {"HostName": "HostName"}

    def test_a_column_that_is_mostly_empty_is_the_worse_one(self) -> None:
        rows = [["", "web1"], ["N/A", "web2"], ["web3.example.com", "web3"]]
        assert propose_mapping(["FQDN", "Server Name"], rows) == {"Server Name": "HostName"}

    def test_several_headers_feed_a_list(self) -> None:
        assert propose_mapping(["IP", "IP.1", "Secondary IP"]) == dict.fromkeys(
            ["IP", "IP.1", "Secondary IP"], "IPAddress"
        )

    @pytest.mark.parametrize(
        ("header", "cells"),
        [
            ("MAC", ["yes", "no"]),
            ("Server", ["10.0.0.1", "10.0.0.2"]),
            ("Server", ["web1;web2", "web3, web4"]),
            ("Name", ["Jane Roe", "John Doe"]),
            ("VM", ["Yes", "No", "Yes", "Yes"]),
            ("Host Name", ["esx1", "esx2", "esx1", "esx2", "esx1"]),
            ("Number of CPUs", ["Intel Xeon", "AMD Epyc"]),
            ("UUID", ["1", "2"]),
            ("VM ID", ["0f0f7c1e-6f1c-4b3a-9f0b-000000000001"]),
            ("CPU usage %", ["1200", "800"]),
            ("Tags", ["production", "test"]),
            ("Environment", ["env:prod", "env:test"]),
            ("Total Physical Memory", ["8388608", "16777216"]),
        ],
    )
    def test_cells_that_contradict_the_header(self, header: str, cells: list[str]) -> None:
        assert propose_mapping([header], [[cell] for cell in cells]) == {}

    def test_cells_that_make_the_meaning_certain(self) -> None:
        rows = [["vm-7", "12.5%", "17179869184", "d-server-1"], ["vm-8", "3%", "8589934592", "d-server-2"], ["-"], []]
        assert propose_mapping(["VM ID", "CPU Usage", "MemoryAssigned", "Server ID"], rows) == {
            "VM ID": "VMware.MoRefId",
            "CPU Usage": "CPU.UsagePct.Avg",
            "MemoryAssigned": memory("B"),
            "Server ID": "ServerId",
        }

    def test_percentages_with_a_decimal_comma(self) -> None:
        assert propose_mapping(["CPU %"], [["93,5"], ["100,0"]]) == {"CPU %": "CPU.UsagePct.Avg"}

    def test_a_unit_is_not_proposed_if_the_cells_contradict_it(self) -> None:
        assert propose_mapping(["RAM (GB)"], [["16384"], ["32768"]]) == {"RAM (GB)": "RAM.TotalSizeInMB"}
        assert propose_mapping(["RAM"], [["4"], ["16"]]) == {"RAM": "RAM.TotalSizeInMB"}

    @pytest.mark.parametrize(
        ("cell", "options"),
        [
            ("env:prod,tier:web", {}),
            ("env:prod|tier:web", {"separator": "|"}),
            ("env=prod,tier=web", {"pair_separator": "="}),
        ],
    )
    def test_the_separators_of_tags(self, cell: str, options: dict[str, str]) -> None:
        assert propose_mapping(["Labels"], [[cell], [""]]) == {
            "Labels": {"column": "Tags", **options} if options else "Tags"
        }

    def test_the_name_in_a_list_of_virtual_machines(self) -> None:
        assert propose_mapping(["Name", "Power State", "DNS Name"]) == {"Name": "VMware.VMName", "DNS Name": "HostName"}
        assert propose_mapping(["Name", "Power State", "IP Address"])["Name"] == "VMware.VMName"
        rows = [["Web server 1", "PoweredOn", "10.0.0.1"]]
        assert propose_mapping(["Name", "Power State", "IP Address"], rows)["Name"] == "VMware.VMName"
        # Without it, nothing would identify the servers.
        assert propose_mapping(["Name", "Power State"]) == {"Name": "HostName"}

    def test_a_host_name_in_a_list_of_virtual_machines_can_be_that_of_the_hypervisor(self) -> None:
        header = ["VM Name", "Host Name", "vCPU"]
        assert "Host Name" not in propose_mapping(header)
        assert propose_mapping([*header, "ESX Host"])["Host Name"] == "HostName"
        rows = [["Web 1", "web1", "2"], ["Web 2", "web2", "2"], ["Web 3", "web3", "4"]]
        assert propose_mapping(header, rows)["Host Name"] == "HostName"
        assert propose_mapping(["Host Name", "Power State"]) == {"Host Name": "HostName"}

    def test_cpus_of_virtual_machines_are_logical_cores(self) -> None:
        assert propose_mapping(["VM", "CPUs", "Sockets"]) == {
            "VM": "VMware.VMName",
            "CPUs": "CPU.NumberOfLogicalCores",
            "Sockets": "CPU.NumberOfProcessors",
        }
        assert propose_mapping(["Server", "CPUs"])["CPUs"] == "CPU.NumberOfProcessors"

    def test_fewer_cores_than_cpus_are_the_cores_of_one_cpu(self) -> None:
        header = ["Server", "CPUs", "Cores"]
        assert "Cores" in propose_mapping(header, [["web1", "2", "16"]])
        assert "Cores" not in propose_mapping(header, [["web1", "2", "16"], ["web2", "4", "1"]])

    def test_virtual_cpus_with_several_cores_are_not_logical_cores(self) -> None:
        assert propose_mapping(["VM", "vCPUs", "Cores per vCPU"]) == {"VM": "VMware.VMName"}

    def test_only_the_first_headers_are_examined(self) -> None:
        assert propose_mapping([*(f"Column {number}" for number in range(10_000)), "IP"]) == {}

    def test_only_rows_that_have_the_cell_count(self) -> None:
        assert propose_mapping(["IP", "OS"], [["10.0.0.1"], []]) == {"IP": "IPAddress", "OS": "OS.Name"}
