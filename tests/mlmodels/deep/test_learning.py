"""Losses by hand, when training stops, how its step size moves, and what is written about it."""

from __future__ import annotations

import csv
import dataclasses
import struct

import numpy as np
import pytest
from scipy import stats

from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.calibrate import calibrated
from itb.mlmodels.deep.curves import crc32c, event_records, write_curve
from itb.mlmodels.deep.fit import teach
from itb.mlmodels.deep.judging import Epoch, mean_ic, mean_trading
from itb.mlmodels.deep.lesson import PanelLesson
from itb.mlmodels.deep.losses import loss_of
from itb.mlmodels.deep.mlp import PanelMlp
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.labels import FutureReturn

PART = PanelMlp(steps=4, layers=(4,), dropout=0.0, epochs=6, batch_rows=64, judge="loss", columns=("close",))


@pytest.fixture(scope="module")
def lesson(gappy):
    panel = Panel.of(gappy, PART.reading)
    targets = panel.targets(gappy, {symbol: FutureReturn(4)(bars) for symbol, bars in gappy.items()})
    return PanelLesson.of(panel, targets, range(PART.warmup, 690), 690, 0.25)


def slow_loss(part, estimates, labels):
    """Each loss by a loop over what is known."""
    pairs = [(e, y) for e, y in zip(estimates.ravel(), labels.ravel(), strict=True) if np.isfinite(y)]
    match part.loss:
        case "mse":
            return np.mean([(y - e) ** 2 for e, y in pairs])
        case "l1":
            return np.mean([abs(y - e) for e, y in pairs])
        case "huber":
            return np.mean(
                [
                    (y - e) ** 2 / 2 if abs(y - e) < part.huber else part.huber * (abs(y - e) - part.huber / 2)
                    for e, y in pairs
                ]
            )
        case "quantile":
            return np.mean([part.quantile * (y - e) if y >= e else (1 - part.quantile) * (e - y) for e, y in pairs])
        case "correlation":
            found = []
            for e, y in zip(estimates.T, labels.T, strict=True):
                known = np.isfinite(y)
                found.append(stats.pearsonr(e[known], y[known])[0])
            return 1 - np.mean(found)
        case "sharpe":
            gains = np.array(
                [
                    np.mean([np.tanh(e) * y for e, y in zip(es, ys, strict=True) if np.isfinite(y)])
                    for es, ys in zip(estimates, labels, strict=True)
                ]
            )
            return -gains.mean() / gains.std()


@pytest.mark.torch
@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "quantile", "correlation", "sharpe"])
def test_each_loss_is_what_the_slow_way_gives(loss):
    import torch

    rng = np.random.default_rng(2)
    estimates, labels = rng.normal(size=(2, 40, 3))
    labels[rng.random(labels.shape) < 0.2] = np.nan
    labels[:, 0] = np.where(np.isnan(labels[:, 0]), 0.3, labels[:, 0])
    part = DeepAlgorithm(loss=loss, huber=0.7, quantile=0.9)
    given = torch.from_numpy(labels)
    found = loss_of(part)(torch.from_numpy(estimates), torch.nan_to_num(given), (~torch.isnan(given)).double())
    assert float(found) == pytest.approx(slow_loss(part, estimates, labels), rel=1e-5)


@pytest.mark.torch
@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "quantile", "correlation", "sharpe"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_every_loss_falls(lesson, loss, optimizer):
    part = dataclasses.replace(PART, loss=loss, optimizer=optimizer, learning_rate=0.01, patience=99)
    curve = teach(part, lesson, seed=1).curve
    assert curve[-1].loss < curve[0].loss


@pytest.mark.torch
def test_the_state_that_is_kept_is_the_best_one_held_back(lesson):
    for watch in ("loss", "ic", "trading"):
        part = dataclasses.replace(PART, judge=watch, learning_rate=0.05, epochs=8, patience=3)
        taught = teach(part, lesson, seed=1)
        worths = [epoch.worth(watch) for epoch in taught.curve]
        assert taught.kept == int(np.argmax(worths))
        assert len(taught.curve) == min(8, taught.kept + 1 + 3)
        if watch == "ic":
            scores = taught.model.scores(lesson.panel, lesson.tail)
            assert mean_ic(scores, lesson.tail_labels) == pytest.approx(max(worths), abs=1e-4)


@pytest.mark.torch
def test_the_step_size_warms_up_and_is_cut_on_a_plateau(lesson):
    part = dataclasses.replace(
        PART, learning_rate=0.2, warmup_batches=8, plateau_epochs=1, plateau_factor=0.5, epochs=7, patience=99
    )
    taught = teach(part, lesson, seed=1)
    batches = len(list(lesson.batches(part.batch_rows, np.random.default_rng(0))))
    assert batches == 7
    best, cuts, expected = np.inf, 0, []
    for number, epoch in enumerate(taught.curve):
        expected.append(0.2 * min(1.0, (number + 1) * batches / 8) * 0.5**cuts)
        if epoch.held_loss < best:
            best = epoch.held_loss
        else:
            cuts += 1
    assert [epoch.rate for epoch in taught.curve] == pytest.approx(expected)
    assert cuts > 0


@pytest.mark.torch
def test_fine_tuning_begins_where_the_network_before_it_stood(lesson):
    first = teach(PART, lesson, seed=1)
    part = dataclasses.replace(PART, fine_tune_epochs=1, learning_rate=1e-12)
    tuned = teach(part, lesson, seed=2, start=first.model)
    assert len(tuned.curve) == 1
    before, after = (one.scores(lesson.panel, lesson.tail) for one in (first.model, tuned.model))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-9)


@pytest.mark.torch
def test_reading_ahead_changes_no_bit(lesson):
    plain, ahead = (teach(dataclasses.replace(PART, prefetch=depth), lesson, seed=1) for depth in (0, 2))
    assert {name: one.tobytes() for name, one in plain.model.state.items()} == {
        name: one.tobytes() for name, one in ahead.model.state.items()
    }


@pytest.mark.torch
def test_calibration_turns_scores_into_expected_returns(lesson):
    base = teach(dataclasses.replace(PART, loss="correlation"), lesson, seed=1).model
    listed = np.isfinite(lesson.tail_labels).all(axis=1)
    for post, penalty in (("linear", 0.0), ("elastic_net", 1e9)):
        model = dataclasses.replace(base, part=dataclasses.replace(base.part, post=post, penalty=penalty))
        after, note = calibrated(model, lesson)
        assert note == ""
        scores = after.scores(lesson.panel, lesson.tail)[listed]
        labels = lesson.tail_labels[listed]
        if post == "linear":
            inputs = np.column_stack([base.scores(lesson.panel, lesson.tail)[listed], np.ones(listed.sum())])
            expected = inputs @ np.linalg.lstsq(inputs, labels)[0]
            np.testing.assert_allclose(scores, expected, atol=1e-9)
        else:
            np.testing.assert_allclose(scores, np.broadcast_to(labels.mean(axis=0), scores.shape), atol=1e-9)


def test_figures_on_rows_held_back_are_means_over_coins():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(2, 200, 2))
    labels[:50, 1] = np.nan
    ics = [stats.pearsonr(scores[:, 0], labels[:, 0])[0], stats.pearsonr(scores[50:, 1], labels[50:, 1])[0]]
    assert mean_ic(scores, labels) == pytest.approx(np.mean(ics))
    found = []
    for score, label in ((scores[:, 0], labels[:, 0]), (scores[50:, 1], labels[50:, 1])):
        low, high = np.quantile(score, [0.1, 0.9])
        found.append(
            sum(y - 0.01 for s, y in zip(score, label, strict=True) if s > high)
            + sum(-y - 0.01 for s, y in zip(score, label, strict=True) if s < low)
        )
    assert mean_trading(scores, labels, 0.01) == pytest.approx(np.mean(found))


CURVE = (Epoch(0, 1.5, 1.25, 0.5, -0.25, 0.001), Epoch(1, 1.0, 1.0, 0.75, 0.5, 0.0005))


def test_curves_are_written_as_text(tmp_path):
    write_curve(tmp_path / "00001", CURVE, events=False)
    rows = list(csv.DictReader((tmp_path / "00001.csv").read_text().splitlines()))
    assert [float(row["held_loss"]) for row in rows] == [1.25, 1.0]
    assert not (tmp_path / "00001").exists()


def test_events_are_records_that_tensorboard_reads(tmp_path):
    """Read them as the format says: length, its checksum, a message, its checksum; scalars by step and name."""
    write_curve(tmp_path / "00001", CURVE, events=True)
    (file,) = (tmp_path / "00001").iterdir()
    assert "tfevents" in file.name
    content, found = file.read_bytes(), {}
    assert content == b"".join(event_records(CURVE))
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        for part, crc in (
            (content[:8], content[8:12]),
            (content[12 : 12 + length], content[12 + length : 16 + length]),
        ):
            plain = crc32c(part)
            assert struct.unpack("<I", crc)[0] == (((plain >> 15) | (plain << 17)) + 0xA282EAD8) % 2**32
        message, content = content[12 : 12 + length], content[16 + length :]
        assert message[:1] == b"\x09"
        assert message[9:10] == b"\x10"
        if b"brain.Event:2" not in message:
            name = message[message.index(b"\x0a", 12) :]
            text = name[4 : 4 + name[3]].decode()
            found[message[10], text] = struct.unpack("<f", message[-4:])[0]
    assert found[1, "held_ic"] == 0.75
    assert len(found) == 2 * 5
