# The plan of the run and the functions that rules find their inputs with.
import gc
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.scheduling.job_scheduler import JobScheduler

# A plan is millions of objects that live as long as the run: looking through them again and again took a fifth of it.
gc.freeze()
gc.set_threshold(200_000, 20, 20)

sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))

from lamofc import codecs, inputs, lock, rounds, worker
from lamofc.config import Plan
from lamofc.errors import LamofcError
from lamofc.provenance import sources

try:
    plan = Plan(config, Path(workflow.basedir))
    plan.curves, plan.arms
except LamofcError as error:
    raise WorkflowError(str(error)) from None

RESULTS = config["results"].rstrip("/")

rounds.one_timer(JobScheduler)

if workflow.is_main_process:
    for name, what in plan.left_out.items():
        print(f"arm {name} is left out of this run: {what}", file=sys.stderr)
    try:
        lock.recover(Path(".snakemake"), Path(RESULTS))
    except LamofcError as error:
        raise WorkflowError(str(error)) from None

LOGS = f"{RESULTS}/logs"
GPU = int(config["device"] != "cpu")  # what a job that runs a model asks for; profiles say how many there are

# Codecs that run a network need the torch environment; the others must pass without torch.
LEARNED = {n for n, a in plan.all_arms.items() if hasattr(codecs.load(a["codec"]), "network_field")}
LEARNED_ARMS = "|".join(map(re.escape, sorted(LEARNED))) or "none"
NUMERIC_ARMS = "|".join(map(re.escape, sorted(set(plan.all_arms) - LEARNED)))
# Codecs that are trained through the tail: their fit needs torch and the model, their coding neither.
TAIL = {n for n, a in plan.all_arms.items() if hasattr(codecs.load(a["codec"]), "trained_by")}
TAIL_ARMS = "|".join(map(re.escape, sorted(TAIL))) or "none"
FITTED_ARMS = "|".join(map(re.escape, sorted(set(plan.all_arms) - LEARNED - TAIL)))
INPUT_ARMS = "|".join(map(re.escape, sorted(plan.all_inputs))) or "none"

IMPORTED = {c for c, r in plan.all_curves.items() if plan.models[r["model"]]["family"] == "hosted"}
IMPORTED_CURVES = "|".join(map(re.escape, sorted(IMPORTED))) or "none"
MODEL_CURVES = "|".join(map(re.escape, sorted(set(plan.all_curves) - IMPORTED))) or "none"


wildcard_constraints:
    curve="[a-z0-9][a-z0-9.-]*",
    arm="[a-z0-9][a-z0-9.-]*",
    package="[A-Za-z0-9][A-Za-z0-9._-]*",
    model="[a-z0-9][a-z0-9.-]*",
    dataset="[a-z0-9][a-z0-9.-]*",
    network="[a-z0-9][a-z0-9.-]*",
    training="[a-z0-9][a-z0-9.-]*",
    readout="[a-z0-9][a-z0-9.-]*",


def row(wildcards):
    return plan.all_curves[wildcards.curve]


def arm(wildcards):
    return (plan.all_arms | plan.all_inputs)[wildcards.arm]


def family_of(wildcards):
    entry = arm(wildcards)
    return (inputs.load(entry["input"]) if "input" in entry else codecs.load(entry["codec"])).family


def used(column):
    """Models or data sets of this run's curves, but those whose features are imported."""
    return sorted({r[column] for c, r in plan.curves.items() if c not in IMPORTED})


def model_row(wildcards):
    entry = plan.models[row(wildcards)["model"]]
    return entry if config["device"] == "cpu" else entry | {"device": config["device"]}


def memory(base, per_weight=0.0):
    """mem_mb of a job: a base and so many times the size of the curve's model; a retry asks for as much again.

    The numbers come from max_rss in results/benchmarks (docs/cluster.md).
    """

    def mem_mb(wildcards, attempt):
        weights = Path(model_folder(wildcards)).glob("**/*") if per_weight else ()
        return attempt * round(base + per_weight * sum(f.stat().st_size for f in weights) / 1e6)

    return mem_mb


def hours(number):
    """runtime of a job, in minutes; a retry asks for as much again."""
    return lambda wildcards, attempt: attempt * number * 60


def model_folder(wildcards):
    return f"resources/models/{row(wildcards)['model']}"


def dataset_folder(wildcards):
    return f"resources/data/{row(wildcards)['dataset']}"


def readout_file(wildcards):
    """The fitted readout of a curve, where it has one."""
    fitted = row(wildcards).get("fitted")
    return [f"{RESULTS}/readouts/{fitted}.safetensors"] if fitted else []


def readout_row(wildcards):
    return plan.readouts[wildcards.readout]


def readout_modules(wildcards):
    entry = readout_row(wildcards)
    return [f"lamofc.models.{plan.models[entry['model']]['family']}", f"lamofc.tasks.{entry['task']}"]


def shipped_readout(wildcards):
    """Weights that ship with the project: those whose sha256 is pinned."""
    pinned = "sha256" in readout_row(wildcards)
    return [f"networks/{wildcards.readout}.safetensors"] if pinned else []


def codec_modules(entry):
    """Modules of a codec and of its fallback."""
    names = [entry["codec"]] + ([entry["fallback"]["codec"]] if "fallback" in entry else [])
    return [codecs.module_name(n) for n in names]


def codec_sources(stage):
    return lambda wildcards: sources(f"lamofc.stages.{stage}", *codec_modules(arm(wildcards)))


def tail_modules(wildcards):
    """Modules of a codec that is trained through the tail, of its training and of the model."""
    training = codecs.load(arm(wildcards)["codec"]).trained_by
    return [*codec_modules(arm(wildcards)), training, *model_worker(wildcards)[1]]


def model_sources(stage):
    return lambda wildcards: sources(
        f"lamofc.stages.{stage}",
        f"lamofc.models.{model_row(wildcards)['family']}",
        f"lamofc.tasks.{row(wildcards)['task']}",
    )


def codec_worker(wildcards):
    """The process that a codec's jobs are forked from, and what it imports for them."""
    learned = wildcards.arm in LEARNED
    return "torch" if learned else "numeric", codec_modules(arm(wildcards)) + ["torch"] * learned


def model_worker(wildcards):
    families = f"lamofc.models.{model_row(wildcards)['family']}", f"lamofc.tasks.{row(wildcards)['task']}"
    return "torch", list(families)


def fitted_assets(wildcards):
    """What the fit rule made for this codec on this curve, where it has something to fit."""
    entry = arm(wildcards)
    if "codec" not in entry or not codecs.needs_fit(entry):
        return []
    curve, name = wildcards.curve, wildcards.arm
    if "transfer" in entry:
        curve, name = plan.donor(curve), entry["transfer"]
    return [f"{RESULTS}/assets/{curve}/{name}.safetensors"]


def sensitivity_file(wildcards):
    """How sensitive the tail is to each tensor, for the codecs whose calibration takes it."""
    of = codecs.sensitive_to(arm(wildcards))
    if of is None or wildcards.curve in IMPORTED:  # there no tail is at hand
        return []
    folder = "sensitivity" if of == "feature" else "sensitivity-answer"
    return [f"{RESULTS}/{folder}/{wildcards.curve}.safetensors"]


def network_file(wildcards):
    """The trained network a codec is built on, where it has one."""
    entry = arm(wildcards)
    field = getattr(codecs.load(entry["codec"]), "network_field", None) if "codec" in entry else None
    return [f"{RESULTS}/networks/{entry['parameters'][field]}.safetensors"] if field else []


def shipped_network(wildcards):
    """Weights that ship with the project: those whose sha256 is pinned."""
    pinned = "sha256" in plan.networks[wildcards.network]
    return [f"networks/{wildcards.network}.safetensors"] if pinned else []


def published_network(wildcards):
    """The fetched package of a network whose weights its authors published."""
    entry = plan.networks[wildcards.network]
    return [f"resources/packages/{entry['published']['package']}"] if "published" in entry else []


def published_packages():
    """Packages of all published networks that codecs of this run are built on."""
    arms = [plan.arms[n] for n in LEARNED & set(plan.arms)]
    named = {a["parameters"][codecs.load(a["codec"]).network_field] for a in arms}
    rows = [plan.networks[n] for n in named if "published" in plan.networks[n]]
    return sorted({f"resources/packages/{r['published']['package']}" for r in rows})


def training_inputs(wildcards, key):
    """What a model is trained on, where it does not ship."""
    entry = plan.trainings[wildcards.training]
    found = [] if "sha256" in entry else entry.get(key, [])
    return [found] if isinstance(found, str) else found


def shipped_model(wildcards):
    """Files of a trained model that ships with the project."""
    return [f"trained/{wildcards.training}/{f}" for f in plan.trainings[wildcards.training].get("sha256", ())]


def training_features(wildcards):
    """What a network that does not ship is trained on: calibration features of curves of the run."""
    wanted = plan.networks[wildcards.network].get("curves", plan.curves)
    ready = shipped_network(wildcards) or published_network(wildcards)
    return [] if ready else [f"{RESULTS}/features/{c}" for c in wanted if c in plan.curves]


def entry_of(wildcards):
    return {k: v for k, v in arm(wildcards).items() if k in ("codec", "parameters", "fallback")}


def assets_of(input):
    """Roles of the decoder's assets, as `lamofc.stages.fit.read_assets` takes them."""
    roles = {"assets": input.get("assets"), "network": input.get("network")}
    return {role: str(path) for role, path in roles.items() if path}
