"""VVC through programs that the user installs: stand-ins for them here, and the real one where it is installed."""

import base64
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from lamofc import codecs
from lamofc.codecs import vvc_encoders
from lamofc.codecs.vvc import Codec
from lamofc.config import Plan
from lamofc.errors import BitstreamError, ConfigError, JobError

ROOT = Path(__file__).parents[1]
FULL = yaml.safe_load((ROOT / "config/config.yaml").read_text()) | yaml.safe_load(
    (ROOT / "config/full.yaml").read_text()
)
ROW, COLUMN = np.mgrid[:16, :32]
PICTURE = ((20 * COLUMN + 8 * ROW + 100) << 6).astype(np.uint16)
# what VVenC 1.13.1 made of PICTURE at QP 16
STREAM = base64.b85decode(
    "000010HKHg00031c>o0h5P$%I2t;ZF>9&zcyzs04OS1jQ5C8xG0RVvj0E8kY7$5)u0RTb70D->LTP#KDYT9#$!dk4)ExCtUIB@m>e0KZ)"
)


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without any encoder, whose PATH is one folder; the folder."""
    for variable in ("LAMOFC_VVENC", "LAMOFC_VTM"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(vvc_encoders, "_packed", list)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for folder in ("bin", "temporary"):
        (tmp_path / folder).mkdir()
    vvc_encoders._has_library.cache_clear()
    return tmp_path / "bin"


def program(folder, name, body='/bin/cp "$here/stream" picture.vvc'):
    """A stand-in that keeps its arguments and its picture beside it."""
    path = folder / name
    keep = 'here="${0%/*}"; printf "%s\\n" "$@" > "$here/seen"; /bin/cp picture.yuv "$here/given"'
    path.write_text(f"#!/bin/sh\n[ \"$2\" = -encoders ] && echo ' V....D libvvenc  VVC ' && exit\n{keep}\n{body}\n")
    path.chmod(0o755)
    (folder / "stream").write_bytes(STREAM)
    return path


def seen(folder):
    """Options with their values, and the picture's samples."""
    words = (folder / "seen").read_text().splitlines()
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    return words, pairs, np.fromfile(folder / "given", "<u2")


def decoded(stream=STREAM, shape=(16, 32)):
    return Codec().decompress(stream, shape)


def test_a_recorded_picture_decodes_without_any_encoder(bare):
    assert np.abs((decoded() >> 6).astype(int) - (PICTURE >> 6)).max() <= 4


@pytest.mark.parametrize(
    ("stream", "shape"),
    [
        (STREAM, (32, 16)),
        (STREAM, (16, 48)),
        (STREAM[:60], (16, 32)),
        (b"", (16, 32)),
        (b"\0\0\1" * 50, (16, 32)),
        (STREAM * 2, (16, 32)),
    ],
)
def test_other_pictures_are_refused(stream, shape):
    with pytest.raises(BitstreamError):
        decoded(stream, shape)


def test_without_a_program_the_error_says_which_and_where_to_get_it(bare):
    for encoder, words in (("vvenc", "vvencapp.*github.com/fraunhoferhhi/vvenc"), ("vtm", "EncoderAppStatic.*VTM")):
        with pytest.raises(ConfigError, match=words):
            Codec(encoder=encoder).compress(PICTURE)
    assert not list((bare.parent / "temporary").iterdir())


def test_a_tier_leaves_the_row_out_and_a_named_row_is_refused(bare):
    plan = Plan(FULL, ROOT)
    assert "vvc" in plan.all_arms and "vvc" not in plan.arms and "hevc" in plan.arms
    assert set(plan.left_out) == {"vvc"} and "vvencapp" in plan.left_out["vvc"]
    assert not any(arm == "vvc" for _, arm in plan.pairs)
    with pytest.raises(ConfigError, match=r"vvc cannot be encoded on this machine: .*vvencapp"):
        _ = Plan(FULL | {"arms": ["vvc"]}, ROOT).arms


def test_with_a_program_the_row_runs(bare):
    program(bare, "vvencapp")
    plan = Plan(FULL, ROOT)
    assert not plan.left_out and "vvc" in plan.arms
    assert not codecs.missing({"codec": "hevc"})


def test_vvencapp_is_given_the_luma_of_ten_bits(bare):
    program(bare, "vvencapp")
    assert Codec(qp=16, preset="fast").compress(PICTURE) == STREAM
    _, pairs, samples = seen(bare)
    assert pairs == {
        "--input": "picture.yuv", "--size": "32x16", "--format": "yuv400_10", "--frames": "1",
        "--output": "picture.vvc", "--preset": "fast", "--qp": "16", "--qpa": "0", "--threads": "1",
        "--verbosity": "error",
        "--additional": "ChromaFormatIDC=400 IntraPeriod=1 GOPSize=1 HrdParametersPresent=0",
    }  # fmt: skip
    assert np.array_equal(samples.reshape(16, 32), PICTURE >> 6)


def test_ffmpeg_is_given_flat_chroma_besides(bare):
    program(bare, "ffmpeg")
    assert Codec(qp=16).compress(PICTURE) == STREAM
    words, _, samples = seen(bare)
    assert words[-1] == "picture.vvc" and words[words.index("-video_size") + 1] == "32x16"
    assert "ChromaFormatIDC=400" in words[words.index("-vvenc-params") + 1].split(":")
    assert np.array_equal(samples[:512].reshape(16, 32), PICTURE >> 6) and (samples[512:] == 512).all()
    assert len(samples) == 512 + 256


def test_what_is_too_large_for_ffmpegs_buffer_is_coded_with_rows_below(bare):
    program(
        bare, "ffmpeg", 'case "$*" in *ConfWinBottom=128*) /bin/cp "$here/stream" picture.vvc ;; *) exit 69 ;; esac'
    )
    assert Codec(qp=16).compress(PICTURE) == STREAM
    words, _, samples = seen(bare)
    assert words[words.index("-video_size") + 1] == "32x144" and len(samples) == 32 * 144 * 3 // 2


def test_an_ffmpeg_without_the_library_is_none(bare):
    (bare / "ffmpeg").write_text("#!/bin/sh\necho ' V....D libx265 '\n")
    (bare / "ffmpeg").chmod(0o755)
    assert Codec().missing()


def test_vtm_is_given_its_own_configuration(bare, monkeypatch):
    """Option names as VTM's manual and published uses of it have them; no real VTM has been run."""
    path = program(bare, "EncoderAppStatic")
    with pytest.raises(ConfigError, match=r"cfg/encoder_intra_vtm\.cfg .* is not beside it"):
        Codec(encoder="vtm").missing()
    configuration = bare.parent / "cfg/encoder_intra_vtm.cfg"
    configuration.parent.mkdir()
    configuration.touch()
    monkeypatch.setenv("PATH", "")
    assert Codec(encoder="vtm").missing()
    monkeypatch.setenv("LAMOFC_VTM", str(path))
    assert Codec(encoder="vtm", qp=16).compress(PICTURE) == STREAM
    words, pairs, samples = seen(bare)
    assert pairs["-c"] == str(configuration.resolve()) and words[16:] == [
        "--InputChromaFormat=400", "--InputBitDepth=10", "--InternalBitDepth=10", "--OutputBitDepth=10",
        "--ConformanceWindowMode=1"]  # fmt: skip
    assert dict(zip(words[2:16:2], words[3:16:2], strict=True)) == {
        "-i": "picture.yuv", "-b": "picture.vvc", "-q": "16", "-wdt": "32", "-hgt": "16", "-f": "1", "-fr": "1",
    }  # fmt: skip
    assert np.array_equal(samples.reshape(16, 32), PICTURE >> 6)


@pytest.mark.parametrize(
    ("body", "message"),
    [("echo 'QP is out of range' >&2; exit 3", "ended with 3: QP is out of range"), ("exit 0", "without a word"),
     (": > picture.vvc", "ended with 0"), ("exec /bin/sleep 20", "no picture within 0.3 s")],
)  # fmt: skip
def test_a_program_that_fails_is_quoted_and_leaves_nothing(bare, monkeypatch, body, message):
    monkeypatch.setattr(vvc_encoders, "SECONDS", 0.3 if "sleep" in body else 60)
    program(bare, "vvencapp", body)
    with pytest.raises(JobError, match=message):
        Codec().compress(PICTURE)
    assert not list((bare.parent / "temporary").iterdir())


def test_a_variable_that_names_no_program_is_refused(bare, monkeypatch):
    monkeypatch.setenv("LAMOFC_VVENC", "/nowhere/vvencapp")
    with pytest.raises(ConfigError, match="LAMOFC_VVENC=/nowhere/vvencapp: no program there"):
        Codec().missing()


@pytest.mark.parametrize("values", [{"qp": 64}, {"qp": -1}, {"encoder": "x266"}, {"preset": "placebo"}, {"clip": 0.1}])
def test_wrong_parameters_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        codecs.build("vvc", values)


@pytest.mark.skipif(bool(Codec().missing()), reason="no VVenC here: " + Codec().missing())
@pytest.mark.parametrize(("qp", "shape"), [(0, (16, 16)), (16, (48, 64)), (40, (64, 16))])
def test_the_real_encoder(qp, shape):
    """Error of a smooth picture against the step that the QP stands for, a noisy one that exceeds FFmpeg's buffer."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    smooth = ((np.sin(row / 9) + np.cos(column / 7)) * 16000 + 32768).astype(np.uint16)
    noise = np.random.default_rng(0).integers(0, 1 << 16, shape).astype(np.uint16)
    codec = Codec(qp=qp, preset="faster")
    for picture, room in ((smooth, 1), (noise, 1.5)):
        data = codec.compress(picture)
        error = codec.decompress(data, shape).astype(float) - picture
        step = 2 ** ((qp - 4) / 6) * 256
        assert np.sqrt((error**2).mean()) < room * max(step, 40)
        assert codec.compress(picture) == data
