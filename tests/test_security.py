"""Nothing received is unpickled or executed; configuration values reach neither a shell nor another folder."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lamofc.checked import check, check_arm, read_yaml
from lamofc.config import Plan
from lamofc.errors import ConfigError

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for folder in ("workflow", "benchmarks") for p in (ROOT / folder).rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
ARCHIVERS = {"tarfile", "zipfile"}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# calls that must pass a keyword with a value, and calls that must not be there
REQUIRED = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
FORBIDDEN = {"eval", "exec", "compile", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
             "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "shutil.unpack_archive",
             "torch.hub.load", "torch.jit.load"}  # fmt: skip


def name_of(node: ast.AST) -> str:
    """`a.b.c` of a dotted expression."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(text: str) -> list[str]:
    """What a source file does that could run code it was sent."""
    found, archives = [], False
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            found += [f"imports {m}" for m in modules if m.split(".")[0] in UNPICKLERS]
            archives |= any(m in ARCHIVERS for m in modules)
        if isinstance(node, ast.Call):
            name, keywords = name_of(node.func), {k.arg: getattr(k.value, "value", "?") for k in node.keywords}
            if name in FORBIDDEN or name.endswith(".extractall") or (archives and name.endswith(".extract")):
                found.append(f"calls {name}")
            key, wanted = REQUIRED.get(name, (None, None))
            if key and keywords.get(key, "missing") is not wanted:
                found.append(f"calls {name} without {key}={wanted}")
            if keywords.get("shell", False) is not False or keywords.get("trust_remote_code", False) is not False:
                found.append(f"calls {name} with a shell or with code of a model's repository")
            if keywords.get("allow_pickle", False) is not False:
                found.append(f"calls {name} with allow_pickle")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_source_could_run_what_it_receives(path):
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "np.load(p)", "np.load(p, allow_pickle=True)", "torch.load(p)",
     "torch.load(p, weights_only=False)", "eval(x)", "os.system(x)", "subprocess.run(x, shell=True)", "t.extractall(p)",
     "import tarfile\ntarfile.open(p).extract(m)",
     "yaml.load(x)", "AutoModel.from_pretrained(p, trust_remote_code=True)"],
)  # fmt: skip
def test_the_check_itself_finds_them(text):
    assert faults(text)


def test_rules_have_no_shell_commands():
    """Then no configuration value can reach a shell through them."""
    for path in RULES:
        text = path.read_text()
        assert "shell:" not in text and "shell(" not in text and "os.system" not in text, path


def test_every_download_is_pinned():
    """By sha256, by a commit, by a commit recorded at the first fetch, or handed over by the user."""
    schema = read_yaml(ROOT / "config/schemas/packages.schema.yaml")
    tables = sorted((ROOT / "config").rglob("packages.yaml"))
    assert tables
    for path in tables:
        for name, package in read_yaml(path).items():
            for archive in package["archives"]:
                loose = {k: v for k, v in archive.items() if k not in ("sha256", "revision")}
                assert loose != archive or archive["source"] == "hand", f"{path}: {name}"
                if loose != archive:
                    with pytest.raises(ConfigError):
                        check({name: package | {"archives": [loose]}}, schema, path.name)


HOSTILE = [
    "a; touch HACKED",
    "$(touch HACKED)",
    "`touch HACKED`",
    "../../HACKED",
    "/etc/x",
    "a\nb",
    "-n",
    "a b",
    "{x}",
    "..",
    "",
]


@pytest.fixture
def tables(tmp_path):
    """A copy of the configuration to spoil, and the default values."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path, yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_names_are_refused_everywhere(tables, value):
    root, default = tables
    if value != "/etc/x" and not value.startswith(".."):  # where results go is the user's own choice
        with pytest.raises(ConfigError):
            _ = Plan(default | {"results": value}, root)
    for name in ("models", "datasets", "packages", "codecs", "networks"):
        path = root / f"config/{name}.yaml"
        kept = path.read_text()
        table = yaml.safe_load(kept)
        table[value] = next(iter(table.values()))
        path.write_text(yaml.safe_dump(table))
        with pytest.raises(ConfigError, match=rf"{name}\.yaml"):
            _ = Plan(default, root)._table(name)
        path.write_text(kept)
    header, first, *_ = (root / "config/scenarios.tsv").read_text().splitlines()
    cells = dict(zip(header.split("\t"), first.split("\t"), strict=True))
    for column in ("curve", "model", "split", "dataset", "task", "readout"):
        if "\n" in value or (column == "readout" and value == ""):
            continue  # no cell of a TSV; "" is none
        row = "\t".join((cells | {column: value}).values())
        (root / "config/scenarios.tsv").write_text(f"{header}\n{row}\n")
        with pytest.raises(ConfigError, match=r"scenarios\.tsv"):
            _ = Plan(default, root).all_curves


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_points_and_codecs_are_refused(value):
    for arm in ({"codec": "cast", "ladder": [value]}, {"codec": value, "ladder": [1]}):
        with pytest.raises(ConfigError):
            check_arm("mine", arm, "config/codecs.yaml")


def test_point_names_are_file_names():
    """Also where a codec takes any text as its knob."""
    from lamofc.checked import check_point_name

    for value in HOSTILE:
        with pytest.raises(ConfigError, match="point"):
            check_point_name("mine", value, "config/codecs.yaml")
    for value in ("raw", "0.05", "-1", "1e-05", "fp8-e4m3"):
        check_point_name("mine", value, "config/codecs.yaml")


def test_hostile_values_on_the_command_line_run_nothing(tmp_path):
    sys.path.insert(0, str(ROOT / "tests/faults"))
    import project

    place = project.make(tmp_path / "p", arms=("identity",))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-n",
        "--configfile",
        "toy.yaml",
        "--config",
        "results=x; touch HACKED",
    ]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "does not match" in done.stdout + done.stderr
    assert not list(place.rglob("HACKED"))
