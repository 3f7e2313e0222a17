"""The promise with several hosts: one queue server, one PostgreSQL database, a state folder for each host."""

import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
import yaml
from campaign import CLEANBOTS, Campaign
from faults import plan
from postgresql_server import PostgresqlServer
from scaling_page import blocks
from server import QueueServer

TABLES = ("events", "dues", "messages")


def test_two_hosts_record_into_one_store(
    start_server: Callable[..., QueueServer],
    make_campaign: Callable[..., Campaign],
    postgresql: PostgresqlServer,
    long_form: bool,
) -> None:
    """Both hosts record, processes of both are killed and frozen: nothing is lost, and nothing doubled in the store."""
    page = yaml.safe_load(blocks("Several hosts", "yaml")[0])
    rows, faults = (100_000, {"kill": 30, "freeze": 10}) if long_form else (3_000, {"kill": 6, "freeze": 1})
    url = postgresql.database()
    campaign = make_campaign(start_server(), 9, hosts=tuple(page["hosts"]), instances=1)
    campaign.bots["record"]["instances"] = page["bots"]["members"]["instances"]
    campaign.settings["delivery"] = {**campaign.settings["delivery"], "store": url}
    campaign.feed(rows, files=10 if long_form else 3)
    campaign.up()
    print(campaign.inject(plan(9, faults)))  # noqa: T201
    campaign.drain()
    campaign.down()
    _copy(url, campaign.folder / page["hosts"][0] / "state" / "store.db")
    print(campaign.account(down=False))  # noqa: T201


def test_the_documented_configurations_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``docs/scaling.md`` shows has no mistakes, with each kind of server."""
    (whole,) = blocks("Several hosts", "yaml")
    (sentinel,), (cluster,) = blocks("Sentinel", "yaml"), blocks("Cluster", "yaml")
    (tmp_path / "members.yaml").write_text("members: []")
    monkeypatch.setenv("QUEUE_PASSWORD", "one")
    monkeypatch.setenv("STORE_PASSWORD", "two")
    for number, broker in enumerate((None, sentinel, cluster)):
        text = (
            whole if broker is None else re.sub("^broker: .*\n", lambda _, line=broker: line, whole, flags=re.MULTILINE)
        )
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        done = subprocess.run([CLEANBOTS, "check", "-c", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _copy(url: str, path: Path) -> None:
    """Copy what the accounts look at from the database into a file."""
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as source, sqlite3.connect(path) as target:
        for table in TABLES:
            found = source.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608 - our own names
            columns = list(found.keys())
            target.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            holes = ", ".join("?" * len(columns))
            target.executemany(f"INSERT INTO {table} VALUES ({holes})", [tuple(row) for row in found])  # noqa: S608
    target.close()
    engine.dispose()
