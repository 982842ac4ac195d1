"""Fetching from a hub with its own client: commits and hashes are recorded once and held to, also after main moved."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in_hub import Hub, serving

pytest.importorskip("huggingface_hub")

ROOT = Path(__file__).parents[1]
FIRST, SECOND, PINNED = "a" * 40, "b" * 40, "c" * 40
CODE = """
import json, sys
from pathlib import Path
from lamofc.fetch import fetch
for name, row in json.loads(sys.argv[1]).items():
    try:
        fetch(name, {"licence": "MIT", "archives": [row]}, Path("out") / name, pins=Path("pins"))
        print("fetched")
    except Exception as error:
        print(type(error).__name__, error)
"""


def row(repo, revision="main", **more):
    pin = {"pin": "record"} if revision == "main" else {}
    return (
        {"source": "huggingface", "repo": repo, "revision": revision, "keep": ["*.json", "*.safetensors"]} | pin | more
    )


@pytest.fixture
def hub(tmp_path):
    hub = Hub()
    hub.push("org/model", FIRST, {"config.json": b"{}", "model.safetensors": b"first", "model.bin": b"pickle"})
    hub.push("org/set", PINNED, {"data/a.json": b"rows"})
    hub.push("org/set", SECOND, {"data/a.json": b"later rows"})
    with serving(hub) as address:

        def fetched(token=None, **rows):
            """What each row's fetch said, in a process of its own that is told to be offline, as all stages are."""
            environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "LAMOFC_"))}
            environment |= {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1",
                            "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT / "workflow/scripts")}  # fmt: skip
            environment |= {"HF_TOKEN": token} if token else {}
            done = subprocess.run([sys.executable, "-c", CODE, json.dumps(rows)], cwd=tmp_path, env=environment,
                                  capture_output=True, text=True, check=True)  # fmt: skip
            return done.stdout.splitlines()

        hub.fetched = fetched
        yield hub


def test_a_branch_is_resolved_once_and_later_fetches_refuse_anything_else(hub, tmp_path):
    assert hub.fetched(model=row("org/model"), set=row("org/set", PINNED, type="dataset")) == ["fetched"] * 2
    records = {n: json.loads((tmp_path / f"pins/{n}.json").read_text()) for n in ("model", "set")}
    hashes = {n: hashlib.sha256(b).hexdigest() for n, b in (("config.json", b"{}"), ("model.safetensors", b"first"))}
    assert records["model"] == {"repo": "org/model", "revision": FIRST, "sha256": hashes}
    assert records["set"]["revision"] == PINNED, "commits of the configuration are held to by hashes too"
    assert (tmp_path / "out/set/data/a.json").read_bytes() == b"rows"

    hub.push("org/model", SECOND, {"config.json": b"{}", "model.safetensors": b"second"})
    hub.asked.clear()
    assert hub.fetched(model=row("org/model")) == ["fetched"]
    assert (tmp_path / "out/model/model.safetensors").read_bytes() == b"first", "main has moved, the pin has not"
    assert {revision for _, _, revision in hub.asked} == {FIRST}

    hub.repos["org/model"][FIRST] = {"config.json": b"{}", "model.safetensors": b"forged"}
    hub.repos["org/set"][PINNED] = {"data/a.json": b"rows", "data/b.json": b"more rows"}
    said = hub.fetched(model=row("org/model"), set=row("org/set", PINNED, type="dataset"))
    assert said[0].startswith("FetchError") and "model.safetensors has SHA-256" in said[0]
    assert said[1].startswith("FetchError") and "b.json has" in said[1] and "records no such file" in said[1]
    assert (tmp_path / "out/model/model.safetensors").read_bytes() == b"first", "what was there stays"
    assert (tmp_path / "pins/model.json").read_text() == json.dumps(records["model"], indent=1, sort_keys=True) + "\n"


def test_gated_missing_and_unknown_say_what_to_do(hub):
    hub.gated.add("org/model")
    rows = {"model": row("org/model"), "gone": row("org/gone"), "set": row("org/set", FIRST, type="dataset")}
    gated, gone, unknown = hub.fetched(**rows)
    assert all(part in gated for part in ("accept its licence on", "org/model", "HF_TOKEN", "LAMOFC_WEIGHTS"))
    assert "org/gone at revision main was not found" in gone and "HF_TOKEN" in gone
    assert f"datasets/org/set at revision {FIRST} was not found" in unknown
    assert hub.fetched(token="hf_of_the_user", model=row("org/model")) == ["fetched"]
