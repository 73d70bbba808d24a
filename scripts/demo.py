"""Run the example Dag on a real Airflow against the emulator, and show what was imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import boto3

from airflow_provider_ads.emulator import AdsEmulator

ROOT = Path(__file__).resolve().parents[1]
DAG_ID = "example_ads_import"
BUCKET = "migration-inventory"


def main() -> int:
    """Run the demo; return the exit status."""
    with AdsEmulator(import_seconds=5) as ads:
        inventory = ROOT / "scripts" / "servers.csv"
        say(f"The emulator of AWS answers at {ads.endpoint_url}; uploading {inventory.name} to s3://{BUCKET}")
        upload(ads, inventory)
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(ROOT / ".airflow-demo"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
        }
        say("Preparing Airflow's database")
        airflow(["db", "migrate"], environment, show=False)
        say(f"Running the Dag {DAG_ID} of example_dags/{DAG_ID}.py")
        status = airflow(["dags", "test", DAG_ID], environment)
        tasks = ads.import_tasks()
    say("What the account holds now")
    for task in tasks:
        print(f"  {task['importTaskId']}  {task['name']}")
        print(f"  status              {task['status']}")
        print(f"  servers imported    {task.get('serverImportSuccess', 0)}")
        print(f"  servers failed      {task.get('serverImportFailure', 0)}")
    imported = [task.get("serverImportSuccess") for task in tasks]
    if status or imported != [8]:
        say(f"The demo did not end as it should (airflow's exit status {status}, servers imported {imported})")
        return 1
    say("Done. Two of the ten rows were rejected, as they would be on AWS: one without an identity, one with a word")
    print("   where a number belongs. Next: copy the Dag, change the two marked lines, and schedule it.")
    return 0


def upload(ads: AdsEmulator, inventory: Path) -> None:
    """Put the inventory where the Dag looks for it."""
    s3 = boto3.client(
        "s3",
        region_name="us-west-2",
        endpoint_url=ads.endpoint_url,
        aws_access_key_id="demo",
        aws_secret_access_key="demo",
    )
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.upload_file(str(inventory), BUCKET, inventory.name)


def airflow(arguments: list[str], environment: dict[str, str], show: bool = True) -> int:
    """Run the airflow command; return its exit status."""
    run = subprocess.run(
        [Path(sys.executable).with_name("airflow"), *arguments],
        env=environment,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode and not show:
        print(run.stdout)
    return run.returncode


def say(line: str) -> None:
    """Print a step so that it stands out among Airflow's log lines."""
    print(f"\n\033[1m>> {line}\033[0m" if sys.stdout.isatty() else f"\n>> {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
