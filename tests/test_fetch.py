"""Fetching: archives that are hostile, damaged or not the pinned ones; hand-over; clients that are missing."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import stat
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import jsonschema
import pytest
import yaml

from lamofc.errors import ConfigError, FetchError
from lamofc.fetch import debian, fetch
from lamofc.fetch.archive import Archive
from lamofc.fetch.unpack import unpack

ROOT = Path(__file__).parents[1]


def tar_bytes(members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:xz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as whole:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            info.name, info.size = name, len(data)
            whole.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def deb_bytes(members: dict[str, bytes | tarfile.TarInfo], data_name: str = "data.tar.xz") -> bytes:
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": tar_bytes({"./control": b"x"}), data_name: tar_bytes(members)}
    whole = b"!<arch>\n"
    for name, content in parts.items():
        header = f"{name:<16}{'0':<12}{'0':<6}{'0':<6}{'100644':<8}{len(content):<10}`\n".encode()
        whole += header + content + b"\n" * (len(content) % 2)
    return whole


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zip_file(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, content in members.items():
            whole.writestr(name, content)
    return path


def row(content: bytes, **changes) -> dict:
    fields = {"source": "debian", "package": "stamps", "version": "1.0-1", "file": "stamps_1.0-1_all.deb",
              "sha256": hashlib.sha256(content).hexdigest(), "keep": ["*.png"]}  # fmt: skip
    return fields | changes


def entry(*rows: dict, **changes) -> dict:
    return {"licence": "MIT", "archives": list(rows), **changes}


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No hand-over folder of this machine, no network client of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAMOFC_DEBS", raising=False)
    monkeypatch.delenv("LAMOFC_WEIGHTS", raising=False)
    monkeypatch.setenv("PATH", str(write(tmp_path / "bin" / "none", b"").parent))


def client(folder: Path, name: str, script: str) -> None:
    path = write(folder / "bin" / name, f"#!/bin/sh\nexport PATH=/usr/bin:/bin\n{script}\n".encode())
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_wanted_members_of_every_archive_kind(tmp_path):
    members = {"./a/one.png": b"1", "./a/two.txt": b"2"}
    plain = {name.removeprefix("./"): content for name, content in members.items()}
    archives = [
        write(tmp_path / "x.deb", deb_bytes(members)),
        write(tmp_path / "x.tgz", tar_bytes(members, "w:gz")),
        zip_file(tmp_path / "x.whl", plain),
    ]
    for archive in archives:
        folder = tmp_path / f"out-{archive.suffix}"
        assert unpack(archive, folder, ["*.png"], 100) == 1
        assert [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()] == ["a/one.png"]


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/tmp/evil.png", "..\\evil.png"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    archives = [
        write(tmp_path / "x.deb", deb_bytes({name: b"1"})),
        zip_file(tmp_path / "x.whl", {name: b"1"}),
    ]
    for archive in archives:
        with pytest.raises(FetchError, match="leave its folder"):
            unpack(archive, tmp_path / "out", ["*.png"], 100)
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_wanted_links_and_devices_are_refused(tmp_path, kind):
    archive = write(tmp_path / "x.deb", deb_bytes({"a.png": special(kind, "/etc/passwd")}))
    with pytest.raises(FetchError, match="link or device"):
        unpack(archive, tmp_path / "out", ["*.png"], 100)


def test_a_file_behind_a_link_stays_inside(tmp_path):
    """A link that is not wanted is never made, so nothing can be written through it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = write(tmp_path / "x.deb", deb_bytes({"dir": special(tarfile.SYMTYPE, str(outside)), "dir/a.png": b"1"}))
    unpack(archive, tmp_path / "out", ["*.png"], 100)
    assert not list(outside.iterdir()) and (tmp_path / "out/dir/a.png").read_bytes() == b"1"


def test_symbolic_links_in_zip_files_are_refused(tmp_path):
    info = zipfile.ZipInfo("a.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as whole:
        whole.writestr(info, "/etc/passwd")
    with pytest.raises(FetchError, match="link or device"):
        unpack(tmp_path / "x.whl", tmp_path / "out", ["*.png"], 100)


def test_unpacked_size_is_bounded(tmp_path):
    archive = zip_file(tmp_path / "x.whl", {"a.png": bytes(5_000_000)})
    with pytest.raises(FetchError, match="max_bytes"):
        unpack(archive, tmp_path / "out", ["*.png"], 1_000_000)
    assert unpack(archive, tmp_path / "other", ["*.png"], 5_000_000) == 5_000_000


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", [".deb", ".whl", ".tgz"])
def test_truncated_archives_are_named(tmp_path, suffix, share):
    content = {f"{i}.png": os.urandom(2000) for i in range(20)}
    whole = {".deb": lambda: deb_bytes(content), ".tgz": lambda: tar_bytes(content, "w:gz"),
             ".whl": lambda: zip_file(tmp_path / "whole.whl", content).read_bytes()}[suffix]()  # fmt: skip
    archive = write(tmp_path / f"cut{suffix}", whole[: int(len(whole) * share)])
    with pytest.raises(FetchError, match=r"cut\.\w+"):
        unpack(archive, tmp_path / "out", ["*.png"], 10**6)


def test_a_pattern_without_a_match_is_an_error(tmp_path):
    archive = zip_file(tmp_path / "x.whl", {"a.png": b"1"})
    with pytest.raises(FetchError, match=r"\*\.jpg"):
        unpack(archive, tmp_path / "out", ["*.png", "*.jpg"], 100)


def test_zstd_packages_say_so(tmp_path):
    archive = write(tmp_path / "x.deb", deb_bytes({"a.png": b"1"}, data_name="data.tar.zst"))
    with pytest.raises(FetchError, match="zstd"):
        unpack(archive, tmp_path / "out", ["*.png"], 100)


# hand-over, hashes, nothing left behind ----------------------------------------------------------


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_handed_over_deb_needs_no_apt(tmp_path, monkeypatch, by_variable):
    content = deb_bytes({"./a/one.png": b"1"})
    folder = tmp_path / "given" if by_variable else tmp_path / "resources/debs"
    write(folder / "stamps_1.0-1_all.deb", content)
    if by_variable:
        monkeypatch.setenv("LAMOFC_DEBS", str(folder))
    out = fetch("stamps", entry(row(content)), tmp_path / "out")
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == ["fetched.json", "one.png"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o755


def test_a_wrong_hash_names_file_and_both_hashes_and_leaves_nothing(tmp_path, monkeypatch):
    content = deb_bytes({"./a/one.png": b"1"})
    write(tmp_path / "given/stamps_1.0-1_all.deb", content)
    monkeypatch.setenv("LAMOFC_DEBS", str(tmp_path / "given"))
    with pytest.raises(FetchError) as caught:
        fetch("stamps", entry(row(b"other")), tmp_path / "packages/stamps")
    message = str(caught.value)
    for part in (
        "stamps_1.0-1_all.deb",
        hashlib.sha256(content).hexdigest(),
        hashlib.sha256(b"other").hexdigest(),
        "Remove",
    ):
        assert part in message
    assert not list((tmp_path / "packages").iterdir())


def test_a_failing_second_archive_leaves_nothing_and_keeps_the_old_folder(tmp_path, monkeypatch):
    content = deb_bytes({"./a/one.png": b"1"})
    write(tmp_path / "given/stamps_1.0-1_all.deb", content)
    monkeypatch.setenv("LAMOFC_DEBS", str(tmp_path / "given"))
    out = fetch("stamps", entry(row(content)), tmp_path / "packages/stamps")
    with pytest.raises(FetchError):
        fetch("stamps", entry(row(content), row(content, file="lost.deb")), out)
    assert [p.name for p in out.parent.iterdir()] == ["stamps"] and (out / "a/one.png").exists()


def test_max_bytes_counts_all_archives_of_a_package(tmp_path, monkeypatch):
    contents = {f"{n}.deb": deb_bytes({f"./{n}.png": bytes(60)}) for n in "ab"}
    for name, content in contents.items():
        write(tmp_path / "given" / name, content)
    monkeypatch.setenv("LAMOFC_DEBS", str(tmp_path / "given"))
    rows = [row(content, file=name) for name, content in contents.items()]
    with pytest.raises(FetchError, match="max_bytes"):
        fetch("stamps", entry(*rows, max_bytes=100), tmp_path / "out")


def test_missing_apt_says_which_file_to_hand_over_and_where(tmp_path):
    wanted = row(b"x")
    with pytest.raises(FetchError) as caught:
        fetch("stamps", entry(wanted), tmp_path / "out")
    for part in (
        "apt-get is not installed",
        wanted["file"],
        "1.0-1",
        wanted["sha256"],
        "LAMOFC_DEBS",
        "resources/debs",
    ):
        assert part in str(caught.value)


def test_apt_lists_are_updated_once_for_parallel_jobs(tmp_path):
    content = deb_bytes({"./a/one.png": b"1"})
    write(tmp_path / "served.deb", content)
    client(
        tmp_path,
        "apt-get",
        f"""
        echo "$@" >> {tmp_path}/calls
        for last; do :; done
        if [ "$last" = update ]; then sleep 0.3; else cp {tmp_path}/served.deb stamps_1.0-1_all.deb; fi""",
    )
    wanted, cache = entry(row(content)), tmp_path / "cache"
    jobs = [threading.Thread(target=fetch, args=(f"p{i}", wanted, tmp_path / f"out{i}", cache)) for i in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert all((tmp_path / f"out{i}/a/one.png").exists() for i in range(3))
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sum(call.endswith(" update") for call in calls) == 1
    assert all(str(tmp_path / "cache/apt") in call for call in calls)


def test_apt_without_that_version_says_what_it_said_and_what_to_hand_over(tmp_path):
    client(tmp_path, "apt-get", 'case "$*" in *update) ;; *) echo "E: Version not found" >&2; exit 100;; esac')
    with pytest.raises(FetchError, match=r"Version not found.*Debian 12.*resources/debs"):
        fetch("stamps", entry(row(b"x")), tmp_path / "out", tmp_path / "cache")
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == []


def test_another_architecture_is_asked_for_by_name(tmp_path):
    assert "APT::Architecture=amd64" in debian._options(tmp_path, "amd64")
    assert not any("APT::Architecture" in option for option in debian._options(tmp_path, "all"))


def test_the_cache_spares_the_second_download(tmp_path, monkeypatch):
    made = zip_file(tmp_path / "m.whl", {"m/w.bin": b"w"}).read_bytes()
    count = []
    monkeypatch.setattr(
        "lamofc.fetch.pypi.run", lambda command, folder, *_: count.append(write(folder / "m.whl", made))
    )
    wanted = entry(row(made, source="pypi", file="m.whl", keep=["*.bin"]))
    for _ in range(2):
        fetch("m", wanted, tmp_path / "out", tmp_path / "cache")
    assert len(count) == 1
    write(tmp_path / "cache/archives/m.whl", b"damaged")
    fetch("m", wanted, tmp_path / "out", tmp_path / "cache")
    assert len(count) == 2


def test_pip_is_that_of_this_interpreter_or_uv_or_an_error(tmp_path, monkeypatch):
    from lamofc.fetch import pypi

    monkeypatch.setattr(pypi.importlib.util, "find_spec", lambda name: object())
    assert pypi._pip()[0] == sys.executable
    monkeypatch.setattr(pypi.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match="ensurepip"):
        pypi._pip()
    client(tmp_path, "uv", "true")
    assert pypi._pip()[1:] == ["tool", "run", "pip"]


def test_npm_packages_are_packed(tmp_path):
    made = tar_bytes({"package/a.png": b"1"}, "w:gz")
    write(tmp_path / "served.tgz", made)
    client(tmp_path, "npm", f'for last; do :; done; cp {tmp_path}/served.tgz "$last/e-1.0.tgz"')
    out = fetch("e", entry(row(made, source="npm", package="e", version="1.0", file="e-1.0.tgz")), tmp_path / "out")
    assert (out / "package/a.png").exists()


HUB = {"source": "huggingface", "repo": "org/model", "revision": "0" * 40, "keep": ["*.safetensors", "*.json"]}


def test_a_local_weights_folder_is_linked_and_never_changed(tmp_path, monkeypatch):
    given = write(tmp_path / "weights/big/model.safetensors", b"w")
    write(tmp_path / "weights/big/pytorch_model.bin", b"pickle")
    given.chmod(0o600)
    monkeypatch.setenv("LAMOFC_WEIGHTS", str(tmp_path / "weights"))
    out = fetch("big", entry(HUB), tmp_path / "out")
    assert (out / "model.safetensors").read_bytes() == b"w" and not (out / "pytorch_model.bin").exists()
    assert stat.S_IMODE(given.stat().st_mode) == 0o600


@pytest.mark.parametrize(("name", "parts"), [
    ("GatedRepoError", ["org/model", "licence", "HF_TOKEN", "LAMOFC_WEIGHTS"]),
    ("RepositoryNotFoundError", ["org/model", "HF_TOKEN", "LAMOFC_WEIGHTS"]),
    ("LocalEntryNotFoundError", ["org/model", "network", "LAMOFC_WEIGHTS"]),
])  # fmt: skip
def test_hub_errors_say_what_to_do(tmp_path, monkeypatch, name, parts):
    hub = pytest.importorskip("huggingface_hub")
    kind = getattr(importlib.import_module("huggingface_hub.errors"), name)
    error = kind.__new__(kind)
    Exception.__init__(error, "refused")

    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    with pytest.raises(FetchError) as caught:
        fetch("big", entry(HUB), tmp_path / "out")
    assert all(part in str(caught.value) for part in parts)


def commit_server(monkeypatch, served: dict[str, bytes], asked: list):
    hub = pytest.importorskip("huggingface_hub")

    def download(repo, revision, local_dir, **options):
        asked.append((revision, options["repo_type"]))
        for name, content in served.items():
            write(local_dir / name, content)

    class Info:
        sha = "a" * 40

    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setattr(hub, "repo_info", lambda repo, revision, repo_type: Info)


def test_a_branch_is_pinned_on_the_first_fetch_and_holds(tmp_path, monkeypatch):
    served, asked, pins = {"data/a.json": b"1"}, [], tmp_path / "pins"
    commit_server(monkeypatch, served, asked)
    rows = entry(HUB | {"revision": "main", "pin": "record", "type": "dataset"})
    fetch("set", rows, tmp_path / "out", pins=pins)
    record = yaml.safe_load((pins / "set.json").read_text())
    assert record == {"repo": "org/model", "revision": "a" * 40,
                      "sha256": {"data/a.json": hashlib.sha256(b"1").hexdigest()}}  # fmt: skip
    monkeypatch.setattr("huggingface_hub.repo_info", None)  # the branch is not asked for again
    fetch("set", rows, tmp_path / "out", pins=pins)
    assert asked == [("a" * 40, "dataset")] * 2
    served["data/a.json"] = b"2"
    with pytest.raises(FetchError, match=r"data/a.json has SHA-256"):
        fetch("set", rows, tmp_path / "out", pins=pins)
    for changes, message in (({"repo": "org/other"}, "records org/model, not org/other"),
                             ({"revision": "b" * 40}, f"records {'a' * 40}, not {'b' * 40}: delete it")):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            fetch("set", entry(rows["archives"][0] | changes), tmp_path / "out", pins=pins)
    (pins / "set.json").write_text("{")
    with pytest.raises(ConfigError, match=r"set\.json is damaged"):
        fetch("set", rows, tmp_path / "out", pins=pins)


def test_a_branch_without_a_pin_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"'main' is no commit.*pin: record"):
        fetch("set", entry(HUB | {"revision": "main"}), tmp_path / "out", pins=tmp_path / "pins")
    schema = yaml.safe_load((ROOT / "config/schemas/packages.schema.yaml").read_text())
    for changes, sound in (({}, True), ({"revision": "main"}, False), ({"revision": "main", "pin": "record"}, True)):
        assert jsonschema.Draft202012Validator(schema).is_valid({"set": entry(HUB | changes)}) is sound


def test_files_on_request_are_taken_from_the_users_folder_and_checked(tmp_path, monkeypatch):
    digest = hashlib.sha256(b"head").hexdigest()[:8]
    name = f"head-{digest}.pth"
    rows = entry({"source": "hand", "page": "the owner's page", "keep": [name]})
    with pytest.raises(FetchError, match=rf"licence and get {name} at the owner's page.*LAMOFC_WEIGHTS"):
        fetch("heads", rows, tmp_path / "out")
    monkeypatch.setenv("LAMOFC_WEIGHTS", str(tmp_path / "weights"))
    given = write(tmp_path / "weights/heads" / name, b"head")
    assert (fetch("heads", rows, tmp_path / "out") / name).read_bytes() == b"head"
    given.write_bytes(b"other")
    with pytest.raises(FetchError, match=f"does not begin with {digest}"):
        fetch("heads", rows, tmp_path / "out")
    given.rename(given.with_name("other.pth"))
    with pytest.raises(FetchError, match=f"pattern {name}"):
        fetch("heads", rows, tmp_path / "out")


def test_bad_rows_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no archives"):
        fetch("x", {"licence": "MIT"}, tmp_path / "out")
    for changes, word in (({"sha256": ""}, "sha256"), ({"source": "ftp"}, "ftp"), ({"file": "../x"}, "bare file name")):
        with pytest.raises(ConfigError, match=word):
            Archive.from_row("x", row(b"x", **changes))


@pytest.mark.parametrize("name", ["packages", "datasets", "paper/packages", "paper/datasets"])
def test_config_files_fit_their_schemas(name):
    schema = yaml.safe_load((ROOT / f"config/schemas/{name.removeprefix('paper/')}.schema.yaml").read_text())
    rows = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    jsonschema.Draft202012Validator(schema).validate(rows)
    broken = {key: value | {"surplus": 1} for key, value in rows.items()}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(broken)


@pytest.mark.resources
def test_fetched_packages_are_the_configured_ones():
    rows = yaml.safe_load((ROOT / "config/packages.yaml").read_text())
    for name, wanted in rows.items():
        facts = ROOT / "resources/packages" / name / "fetched.json"
        if not facts.exists():
            pytest.skip(f"{facts.parent} is not there: fetch the packages first")
        assert yaml.safe_load(facts.read_text())["archives"] == wanted["archives"]
