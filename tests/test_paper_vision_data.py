"""Loaders of the paper's image sets on tiny files in the real formats, and their scores on numbers worked by hand."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from lamofc import tasks
from lamofc.convert import ConvertError
from lamofc.convert.pth_reader import read_pth
from lamofc.datasets import ade20k, build, imagenet, nyuv2, pictures
from lamofc.datasets.canny import canny, gray
from lamofc.errors import ConfigError
from lamofc.frechet import frechet_distance
from lamofc.jsonio import read_lines
from lamofc.tasks import depth, depth_aligned


def photo(seed=0, size=(60, 80)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def jpeg(path, seed=0, size=(60, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(seed, size)).save(path, format="JPEG")


def part_of(folder, part):
    return [i for i in read_lines(folder / "items.jsonl") if i["part"] == part]


@pytest.mark.parametrize("subset", ["a", "r"])
def test_imagenet_folders_and_the_subset_that_is_scored(tmp_path, subset):
    names = imagenet.synsets(f"imagenet_{subset}")
    for i, name in enumerate((names[0], names[0], names[7])):
        jpeg(tmp_path / "set" / name / f"{i}.jpg", i)
    jpeg(tmp_path / "set" / "unknown" / "x.jpg")
    options = {"subset": subset, "size": 32, "test": 2, "calibration": 1}
    out = build("imagenet", {"set": tmp_path / "set"}, tmp_path / "out", options, 3)
    assert (len(part_of(out, "test")), len(part_of(out, "calibration"))) == (2, 1)
    task = tasks.build("imagenet", out, tmp_path)
    assert task.chance == 0.5 and len(task.classes) == 200
    example = next(task.examples("test"))
    assert example.inputs["image"].shape == (32, 32, 3) and example.truth in task.classes
    logits = np.zeros(1000, np.float32)
    other = next(i for i in range(1000) if i not in task.classes)
    logits[other], logits[example.truth] = 9, 1
    assert task.outcome({"label": other, "logits": logits}, example.truth) == {"correct": 1.0}
    with pytest.raises(ConfigError, match="3 samples found where 110"):
        build("imagenet", {"set": tmp_path / "set"}, tmp_path / "more", {"subset": subset}, 3)


def test_imagenet_tables_of_the_hub(tmp_path):
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    rows = []
    for i in range(5):
        buffer = io.BytesIO()
        Image.fromarray(photo(i)).save(buffer, format="JPEG")
        rows.append({"image": {"bytes": buffer.getvalue(), "path": f"{i}.JPEG"}, "label": 100 * i})
    (tmp_path / "set/data").mkdir(parents=True)
    table = arrow.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "set/data/validation-00000-of-00001.parquet", row_group_size=2)
    out = build("imagenet", {"set": tmp_path / "set"}, tmp_path / "out", {"size": 32, "test": 4, "calibration": 1}, 1)
    found = part_of(out, "test") + part_of(out, "calibration")
    assert sorted(i["label"] for i in found) == [0, 100, 200, 300, 400]
    for item in found:
        expected = pictures.square(pictures.read(rows[item["label"] // 100]["image"]["bytes"]), 32)
        with Image.open(out / item["image"]) as picture:
            assert np.array_equal(np.asarray(picture), expected)


def test_ade20k(tmp_path):
    source = tmp_path / "set/ADEChallengeData2016"
    for part, name in (("training", "ADE_train_1"), ("validation", "ADE_val_1")):
        jpeg(source / "images" / part / f"{name}.jpg", 1, (4, 6))
        path = source / "annotations" / part / f"{name}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.array([[0, 1, 150, 2, 2, 2]] * 4, np.uint8)).save(path)
    out = build("ade20k", {"set": tmp_path / "set"}, tmp_path / "out", {"test": 1, "calibration": 1})
    example = next(tasks.build("semantic_segmentation", out, tmp_path).examples("test"))
    assert example.id == "ADE_val_1" and example.truth[0].tolist() == [255, 0, 149, 1, 1, 1]
    assert example.inputs["image"].shape == (4, 6, 3) and example.side == {"size": [4, 6]}
    assert part_of(out, "calibration")[0]["id"] == "ADE_train_1"
    assert ade20k.CLASSES == 150


def segmentation(tmp_path, classes):
    (tmp_path / "items.jsonl").write_text("")
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": classes}))
    return tasks.build("semantic_segmentation", tmp_path, tmp_path)


def test_miou_by_hand(tmp_path):
    task = segmentation(tmp_path, 150)
    truth = np.array([[0, 0, 1, 255], [3, 3, 1, 255]], np.uint8)
    output = np.array([[0, 1, 1, 7], [3, 3, 1, 9]], np.uint8)  # what stands where nothing is labelled does not count
    first = task.outcome(output, truth)
    assert (first["both.0"], first["either.0"], first["both.1"], first["either.1"]) == (1, 2, 2, 3)
    assert first["either.7"] == first["either.9"] == 0 and len(first) == 300
    second = task.outcome(np.full((1, 2), 5, np.uint8), np.array([[5, 3]], np.uint8))
    rows = {k: np.array([first[k], second[k]]) for k in first}
    # class 0: 1/2, class 1: 2/3, class 3: 2/3 over both images, class 5: 1/2
    assert task.score(rows) == pytest.approx(100 * (1 / 2 + 2 / 3 + 2 / 3 + 1 / 2) / 4)
    drawn = {k: v[np.array([[0, 1], [0, 0]])] for k, v in rows.items()}
    assert task.score(drawn)[1] == pytest.approx(100 * (1 / 2 + 2 / 3 + 1) / 3)
    assert task.damage(output, truth) == 3 / 8 and task.flipped(output, truth) and not task.flipped(truth, truth)


def nyu_matlab(folder):
    h5py = pytest.importorskip("h5py")
    from scipy.io import savemat

    folder.mkdir()
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 9, (3, 480, 640)).astype(np.float32)
    depth[:, 100, 100] = 11.0
    images = rng.integers(0, 256, (3, 480, 640, 3), np.uint8)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:  # as MATLAB writes it: axes reversed
        file["images"], file["depths"] = images.transpose(0, 3, 2, 1), depth.transpose(0, 2, 1)
    savemat(folder / "splits.mat", {"trainNdxs": np.array([[2]]), "testNdxs": np.array([[1], [3]])})
    return images, depth


def test_nyuv2_from_the_labelled_file(tmp_path):
    images, depth = nyu_matlab(tmp_path / "set")
    out = build("nyuv2", {"set": tmp_path / "set"}, tmp_path / "out", {"test": 2, "calibration": 1}, 1)
    assert sorted(i["id"] for i in part_of(out, "test")) == ["0001", "0003"]
    (item,) = part_of(out, "calibration")
    with Image.open(out / item["image"]) as picture:
        assert item["id"] == "0002" and np.array_equal(np.asarray(picture), images[1])
    with Image.open(out / item["depth"]) as picture:
        stored = np.asarray(picture)
    assert stored.shape == (480, 640) and stored[100, 100] == 0, "farther than 10 m"
    assert not stored[:45].any() and not stored[471:].any() and not stored[:, :41].any() and not stored[:, 601:].any()
    assert np.abs(stored[45:471, 41:601] / 1000 - depth[1, 45:471, 41:601])[stored[45:471, 41:601] > 0].max() <= 5.1e-4
    assert np.count_nonzero(stored) == 426 * 560 - 1


def test_nyuv2_from_an_extracted_folder(tmp_path):
    for split in ("train", "test"):
        jpeg(tmp_path / "set" / split / "kitchen" / "rgb_00045.jpg", 1, (480, 640))
        Image.fromarray(np.full((480, 640), 2500, np.uint16)).save(
            tmp_path / "set" / split / "kitchen" / "sync_depth_00045.png"
        )
    out = build("nyuv2", {"set": tmp_path / "set"}, tmp_path / "out", {"test": 1, "calibration": 1})
    with Image.open(out / part_of(out, "test")[0]["depth"]) as picture:
        assert np.unique(np.asarray(picture)).tolist() == [0, 2500]


def test_the_clamp_of_depths():
    depth = np.full((480, 640), 5.0, np.float32)
    depth[200, 200:203] = 0.0005, 10.0, 9.9994
    kept = nyuv2.scored(depth, 0.001, 10.0)
    assert kept[200, 200:204].tolist() == [0, 0, 9999, 5000]


def test_alignment_by_scale_and_shift_by_hand():
    truth = np.array([[1.0, 2.0, 3.0, 0.0]], np.float32)  # the last one is not known
    output = np.array([[10.0, 20.0, 30.0, 99.0]], np.float32)
    assert depth_aligned.aligned(output, truth)[0, :3] == pytest.approx([1, 2, 3])
    task = depth_aligned.Task.__new__(depth_aligned.Task)
    assert task.outcome(output, truth) == pytest.approx({"rmse": 0, "abs_rel": 0, "delta": 1}, abs=1e-9)
    output[0, 1] = 23  # x = -11, 2, 9 about its mean, y = -1, 0, 1: scale 20 / 206, shift to the mean 2
    expected = 2 + 20 / 206 * np.array([-11, 2, 9])
    assert depth_aligned.aligned(output, truth)[0, :3] == pytest.approx(expected)
    errors = task.outcome(output, truth)
    assert errors["rmse"] == pytest.approx(np.sqrt(np.square(expected - [1, 2, 3]).mean()))
    assert errors["abs_rel"] == pytest.approx(np.mean(np.abs(expected - [1, 2, 3]) / [1, 2, 3]))
    assert depth_aligned.aligned(np.full((1, 4), 7.0), truth)[0, 0] == 2


def test_depth_measures_and_their_clamp_by_hand():
    truth = np.array([[1.0, 2.0, 9.0, 0.0]], np.float32)
    found = depth.errors(np.array([[1.2, 3.0, 50.0, 7.0]]), truth)  # 50 counts as 10
    assert found["rmse"] == pytest.approx(np.sqrt((0.2**2 + 1 + 1) / 3))
    assert found["abs_rel"] == pytest.approx((0.2 + 0.5 + 1 / 9) / 3)
    assert found["delta"] == pytest.approx(2 / 3)
    assert depth.errors(np.array([[-4.0, 2.0, 9.0, 0.0]]), truth)["rmse"] == pytest.approx(0.999 / np.sqrt(3))


def test_coco_captions_and_edges(tmp_path):
    source = tmp_path / "set"
    for i in (1, 2, 3):
        jpeg(source / "val2017" / f"{i:012d}.jpg", i)
    captions = {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg"} for i in (1, 2, 3, 4)],
        "annotations": [{"image_id": i, "id": 10 * i + n, "caption": f" image {i}\n caption {n} "}
                        for n in (1, 0) for i in (1, 2, 3, 4)],
    }  # fmt: skip
    (source / "annotations").mkdir()
    (source / "annotations/captions_val2017.json").write_text(json.dumps(captions))
    out = build("coco_canny", {"set": source}, tmp_path / "out", {"size": 64, "test": 2, "calibration": 1}, 2)
    items = part_of(out, "test") + part_of(out, "calibration")
    assert sorted(i["prompt"] for i in items) == [f"image {i} caption 0" for i in (1, 2, 3)]
    with Image.open(out / items[0]["control"]) as picture:
        edges = np.asarray(picture)
    assert edges.shape == (64, 64) and set(np.unique(edges)) == {0, 255}


def test_canny_by_hand():
    step = np.zeros((7, 8), np.uint8)
    step[:, 4:] = 30  # gradient 4 x 30 on both sides of the step: the first of equals stays
    assert np.flatnonzero(canny(step, 50, 100)[3]).tolist() == [3]
    assert not canny(step, 130, 150).any()
    weak = step.copy()
    weak[4:, 4:] = 15  # below the high threshold, but touching an edge above it
    assert canny(weak, 50, 100)[6, 3] == 255 and not canny(weak[4:], 50, 100).any()
    assert gray(np.array([[[255, 255, 255], [255, 0, 0]]], np.uint8)).tolist() == [[255, 76]]


def test_the_frechet_distance_is_that_of_gaussians():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6)), rng.standard_normal((300, 6)) + 0.5
    ca, cb = np.cov(a.T), np.cov(b.T)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])) == pytest.approx(4 + 2 + 8 - 2 * 4)
    few = rng.standard_normal((5, 50))  # fewer samples than features
    assert frechet_distance(few, few + 1) == pytest.approx(50, rel=1e-9)


@pytest.mark.parametrize(("reals", "fakes"), [(90, 70), (9, 12)])  # 12 and 9: fewer images than features
def test_the_frechet_distance_is_torchmetrics(reals, fakes):
    """FID of torchmetrics on the same features of the same images, which it gathers itself in batches."""
    torch = pytest.importorskip("torch")
    from torchmetrics.image.fid import FrechetInceptionDistance

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 24, 5, stride=3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                              torch.nn.Flatten(), torch.nn.Linear(24, 16)).double()  # fmt: skip
    net.num_features = 16
    real = torch.randn(reals, 3, 16, 16, dtype=torch.float64)
    fake = 0.3 + 0.8 * torch.randn(fakes, 3, 16, 16, dtype=torch.float64)
    metric = FrechetInceptionDistance(feature=net).set_dtype(torch.float64)
    for images, is_real in ((real, True), (fake, False)):
        for batch in images.split(20):
            metric.update(batch, real=is_real)
    with torch.no_grad():
        ours = frechet_distance(net(real).numpy(), net(fake).numpy())
    assert ours == pytest.approx(float(metric.compute()), rel=1e-4) and ours > 1e-3


def test_tensors_are_read_without_unpickling(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(12.0).reshape(3, 4)
    state = {"a": base, "b": base.t()[1:], "c": torch.ones(2, dtype=torch.bfloat16), "n": torch.tensor(7),
             "p": torch.nn.Parameter(torch.zeros(2))}  # fmt: skip
    torch.save({"epoch": 3, "notes": ["x", None, 1.5], "model": state}, tmp_path / "a.pth")
    found = read_pth(tmp_path / "a.pth")
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert np.array_equal(found[name].astype(np.float32), tensor.detach().float().numpy()), name
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "b.pth")
    assert {k: v.shape for k, v in read_pth(tmp_path / "b.pth").items()} == {"weight": (3, 2), "bias": (3,)}


class Hostile:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


def test_files_that_call_other_things_are_refused_unrun(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(1), "b": Hostile()}, tmp_path / "bad.pth")
    with pytest.raises(ConvertError, match=r"wants to call __builtin__\.exec"):
        read_pth(tmp_path / "bad.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "bad.pth").read_bytes()[:200])
    with pytest.raises(ConvertError, match="no intact file"):
        read_pth(tmp_path / "cut.pth")
