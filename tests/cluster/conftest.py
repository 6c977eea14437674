"""The engine comes from the command line: pytest tests/cluster --engine ray."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from engines import ENGINES, ROOT, cluster

FAST = "ucf14-lite0-lstm"


def pytest_addoption(parser):
    parser.addoption("--engine", choices=ENGINES, required=True)


@pytest.fixture(scope="session")
def engine(request):
    return request.config.getoption("--engine")


@pytest.fixture(scope="session")
def data():
    """The folder of data that can't be passed on."""
    folder = pathlib.Path(os.environ.get("CLASSIFY_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.exists():
        pytest.skip(f"{folder} isn't there")
    return folder


@pytest.fixture(scope="session")
def started(engine):
    """A cluster of the engine."""
    with cluster(engine) as given:
        yield given


@pytest.fixture(scope="session")
def told(data):
    """What the command says of a folder's clips: a row a clip, by its path in there."""
    program = pathlib.Path(sys.executable).with_name("classify")
    kept = {}

    def rows(folder):
        if folder not in kept:
            arguments = [program, "--model", FAST, "--top", "5", "--format", "json", folder]
            output = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
            kept[folder] = by_path(folder, map(json.loads, output.splitlines()))
        return kept[folder]

    return rows


def by_path(folder, rows):
    return {os.path.relpath(row.pop("path"), folder): row for row in rows}
