"""The worked examples of the manuals are what the programs take."""

import re
import subprocess

import pytest

from cluster import ROOT

BUILD = __import__("os").environ.get("SELARAS_BUILD") or f"{ROOT}/build"
AGENT = '''agent
    agency = dinsos
    database = "dbname=x"
    key = "/nonexistent"
broker
    endpoint = "tcp://127.0.0.1:1"
    key = "{}"
'''.format("0" * 64)


def examples(manual):
    """What stands between .EX and .EE, as a reader copies it."""
    with open(f"{ROOT}/man/{manual}", encoding="utf-8") as file:
        found = re.findall(r"^\.EX\n(.*?)^\.EE$", file.read(), re.M | re.S)
    return [text.replace("\\-", "-") for text in found]


def selaras(*arguments):
    done = subprocess.run([f"{BUILD}/cli/selaras", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def catalog(tmp_path):
    path = tmp_path / "catalog.zpl"
    path.write_text(examples("selaras-catalog.5")[0])
    return path


def test_the_catalog_of_the_manual_is_one(catalog):
    assert selaras("check", "catalog", str(catalog))[0] == 0
    catalog.write_text(catalog.read_text().replace("household_size", "householdSize"))
    assert selaras("check", "catalog", str(catalog))[0] == 1


def test_the_mapping_of_the_manual_binds_to_it(catalog, tmp_path):
    agent = tmp_path / "agent.zpl"
    agent.write_text(AGENT + examples("selaras-mapping.5")[0])
    status, said = selaras("check", "mapping", str(agent), "--catalog", str(catalog), "--offline")
    assert status == 0, said
