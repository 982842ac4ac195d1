"""From input to answer, split or not, as a function of bandwidth; from measured times and devices' speeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lamofc.results import operating

RAW = "identity"
INPUT = "input"  # family of codecs that code the input instead of features


def options(rows: pd.DataFrame, inputs: pd.DataFrame, devices: Mapping[str, float]) -> pd.DataFrame:
    """One row per (curve, option): kind split, input or sender; seconds without transmission, and bytes to send.

    All per sample. A split runs the head and the encoder on the sender, decoder and tail on the receiver; "input"
    compresses the input on the sender, without loss or by a codec of inputs at its lowest point that keeps the score,
    and runs the unsplit model on the receiver; "sender" runs it there and sends
    nothing. `devices`: how many times faster than the measuring machine sender and receiver are. The way back of
    the answer is left out, being the same few bytes for all.
    """
    sender, receiver = devices["sender"], devices["receiver"]
    found = []
    for row in operating.points(rows).itertuples():
        megabytes = row.ratio * row.bytes / row.n / 1e6
        sent = row.family == INPUT
        seconds = (row.head_seconds * (not sent) + megabytes / row.encode_mbps) / sender
        seconds += ((row.unsplit_seconds if sent else row.tail_seconds) + megabytes / row.decode_mbps) / receiver
        size = (row.bytes + row.side_bytes) / row.n
        found.append((row.curve, "input" if sent else "split", row.codec, row.family, seconds, size))
    unsplit = rows.groupby("curve", sort=False).unsplit_seconds.first()
    for row in inputs[inputs.curve.isin(unsplit.index)].itertuples():
        whole = unsplit[row.curve]
        seconds = row.encode_seconds / row.n / sender + whole / receiver
        found.append((row.curve, "input", row.form, "", seconds, row.bytes / row.n))
        found.append((row.curve, "sender", "sender alone", "", whole / sender, 0.0))
    return pd.DataFrame(found, columns=["curve", "kind", "name", "family", "seconds", "bytes"])


def speeds(devices: Mapping[str, float]) -> str:
    """As figures say it."""
    return f"sender {devices['sender']:g} x, receiver {devices['receiver']:g} x the speed of the measuring machine"


def total(option: pd.DataFrame | pd.Series, bandwidth: np.ndarray) -> np.ndarray:
    """Seconds (options, bandwidths) at these bits per second; (bandwidths,) for one option."""
    seconds, size = np.asarray(option.seconds, float), np.asarray(option.bytes, float)
    return seconds[..., None] + 8 * size[..., None] / bandwidth


def crossing(one: pd.Series, other: pd.Series) -> tuple[float, str]:
    """(bits per second at which both take equally long, where `one` is the faster: below, above, always, never)."""
    more_bytes, more_seconds = 8 * (one.bytes - other.bytes), one.seconds - other.seconds
    if more_bytes * more_seconds >= 0:  # one needs less of both, or more of both
        return float("nan"), "always" if more_bytes + more_seconds < 0 else "never"
    return -more_bytes / more_seconds, "below" if more_bytes < 0 else "above"


def fastest(options: pd.DataFrame, bandwidths: np.ndarray) -> list[tuple[float, float, str]]:
    """Options of one curve -> (from, to, kind of the fastest option), pieces that cover `bandwidths`."""
    winner = options.kind.to_numpy()[total(options, bandwidths).argmin(0)]
    starts = np.flatnonzero(np.append(True, winner[1:] != winner[:-1]))
    ends = [*starts[1:], len(winner) - 1]
    return [(float(bandwidths[a]), float(bandwidths[b]), str(winner[a])) for a, b in zip(starts, ends, strict=True)]
