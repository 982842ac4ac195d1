"""Figure `should_i_split` and table `break_even` by hand: two curves of a default run, worked through."""

import pandas as pd
import pytest

from lamofc.interfaces import Example
from lamofc.results import latency
from lamofc.stages import latency as stage

DEVICES = {"sender": 0.2, "receiver": 5.0}
TIMES = ["head_seconds", "tail_seconds", "unsplit_seconds"]
COLUMNS = ["curve", "codec", "family", "point", "n", "bytes", "side_bytes", "ratio", "bpfp", "score",
           "reference_score", "encode_mbps", "decode_mbps", *TIMES]  # fmt: skip
# photos, DINOv2 after block 2: 394 752 bytes a sample, float32; kinds, SmolLM2 after layer 4: 179 338, bfloat16.
PHOTOS, KINDS = (0.0406401, 0.113671, 0.153766), (0.00950346, 0.0815266, 0.0821540)
ROWS = [
    ("photos", "identity", "reference", "raw", 24, 9474615, 432, 0.99994, 32.0, 79.1667, 79.1667, 36805.9, 17509.3),
    ("photos", "tailor", "ours", "0.8", 24, 166819, 432, 56.7924, 0.5635, 79.1667, 79.1667, 107.682, 59.8925),
    ("photos", "tailor", "ours", "1.6", 24, 74230, 432, 127.631, 0.2507, 75.0, 79.1667, 110.568, 72.2195),
    ("photos", "input-jpegxl", "input", "1", 24, 223919, 432, 42.3102, 0.7563, 79.1667, 79.1667, 37.0236, 393.196),
    ("kinds", "identity", "reference", "raw", 40, 7175266, 1718, 0.999754, 16.0, 75.0, 75.0, 13983.3, 2416.92),
    ("kinds", "tailor", "ours", "6.4", 40, 57362, 1718, 125.057, 0.1279, 75.0, 75.0, 22.0303, 20.1149),
]  # fmt: skip
INPUTS = pd.DataFrame([("photos", "lossless WebP", 24, 1269744, 0.354504), ("kinds", "UTF-8 text", 40, 3175, 0.000281)],
                      columns=["curve", "form", "n", "bytes", "encode_seconds"])  # fmt: skip


@pytest.fixture(scope="module")
def options():
    rows = pd.DataFrame([(*r, *(PHOTOS if r[0] == "photos" else KINDS)) for r in ROWS], columns=COLUMNS)
    rows = rows.assign(quality=rows.score, reference_quality=rows.reference_score, higher_is_better=True, unit="%")
    return latency.options(rows, INPUTS, DEVICES).set_index(["curve", "name"])


def test_a_split_of_photos_by_hand(options):
    """The point at 0.56 bits is the lowest that keeps 99 % of 79.2; the one at 0.25 bits scores 75.

    Sender, a fifth as fast: head .04064 s and .394752 MB / 107.682 MB/s = .003666 s for the encoder, x 5 = .221530 s.
    Receiver, five times as fast: .394752 / 59.8925 = .006591 s for the decoder and tail .113671 s, / 5 = .024052 s.
    """
    split = options.loc["photos", "tailor"]
    assert split.kind == "split" and split.bytes == pytest.approx((166819 + 432) / 24)
    assert split.seconds == pytest.approx(0.221530 + 0.024052, rel=1e-4)
    at = latency.total(split, 1e6)  # 6 968.8 bytes are .055750 s at 1 Mbit/s
    assert at == pytest.approx(0.245582 + 0.055750, rel=1e-4)


def test_alternatives_to_splitting_photos_by_hand(options):
    """Sender alone .153766 x 5, JPEG XL .394752/37.0236 x 5 + (.153766 + .394752/393.196)/5."""
    own = options.loc["photos"]
    assert own.seconds["sender alone"] == pytest.approx(0.76883) and own.bytes["sender alone"] == 0
    assert own.seconds["input-jpegxl"] == pytest.approx(0.053311 + 0.030954, rel=1e-4)
    assert own.seconds["lossless WebP"] == pytest.approx(0.073855 + 0.030753, rel=1e-4)
    assert own.bytes["lossless WebP"] == pytest.approx(52906)


def test_break_even_bandwidths_by_hand(options):
    """Raw features of photos: 8 x (394 793.6 - 6 968.8) bits less for .245582 - .225993 s more: below 158.4 Mbit/s.

    JPEG XL sends 8 x 2 379.2 bits more in .161317 s less: below 118 kbit/s. Sender alone: 55 750 bits / .523248 s.
    Text of kinds is smaller than its features and quicker to send: splitting never pays.
    """
    own = options.loc["photos"]
    found = latency.crossing(own.loc["tailor"], own.loc["identity"])
    assert found == (pytest.approx(158.38e6, rel=2e-3), "below")
    assert latency.crossing(own.loc["tailor"], own.loc["input-jpegxl"]) == (pytest.approx(117987, rel=1e-3), "below")
    assert latency.crossing(own.loc["tailor"], own.loc["sender alone"]) == (pytest.approx(106547, rel=1e-3), "above")
    kinds = options.loc["kinds"]
    assert kinds.bytes["tailor"] == pytest.approx(1477.0) and kinds.bytes["UTF-8 text"] == pytest.approx(79.4, rel=1e-3)
    # sender (.009503 + .179338/22.0303) x 5 = .088221, receiver (.081527 + .179338/20.1149)/5 = .018089
    assert kinds.seconds["tailor"] == pytest.approx(0.088221 + 0.018089, rel=1e-4)
    assert latency.crossing(kinds.loc["tailor"], kinds.loc["UTF-8 text"])[1] == "never"
    # sender alone .082154 x 5 = .41077 s; 8 x 1 477 bits / (.41077 - .10631) s = 38.8 kbit/s
    assert latency.crossing(kinds.loc["tailor"], kinds.loc["sender alone"])[0] == pytest.approx(38809, rel=1e-3)


def test_crossings_of_two_lines():
    one = pd.Series({"seconds": 0.3, "bytes": 1000.0})
    other = pd.Series({"seconds": 0.1, "bytes": 26000.0})
    assert latency.crossing(one, other) == (pytest.approx(1e6), "below")  # 200 kbit saved for .2 s
    assert latency.total(one, 1e6) == pytest.approx(latency.total(other, 1e6))
    assert latency.crossing(other, one)[1] == "above"
    assert latency.crossing(one, one + 1)[1] == "always" and latency.crossing(one + 1, one)[1] == "never"


def test_seconds_are_medians_of_eight_samples_alone_after_one_to_warm_up(monkeypatch):
    """The first sample takes 100 times as long and the last one is disturbed: neither moves the median of 1 .. 8."""
    clock, calls = [0.0], []
    monkeypatch.setattr(stage.time, "perf_counter", lambda: clock[0])

    class Model:
        def _take(self, what, batch, factor):
            assert len(batch) == 1
            number = len([c for c in calls if c == what])
            calls.append(what)
            clock[0] += factor * (100 if number == 0 else 1000 if number == 8 else number)
            return batch

        def head(self, inputs):
            return self._take("head", inputs, 1)

        def tail(self, features, side):
            return self._take("tail", features, 2)

        def unsplit(self, inputs, side):
            return self._take("unsplit", inputs, 3)

    found = stage.measure(Model(), (Example(str(i), {}, {}, None) for i in range(50)))
    assert stage.SAMPLES == 8 and calls.count("head") == 9
    assert found == {"head_seconds": 4.5, "tail_seconds": 9.0, "unsplit_seconds": 13.5}
