"""Early stopping is a value: same losses, same decision, also through a checkpoint."""

import json

import pytest

from mgajax.training.early_stopping import Criterion, EarlyStopping


def test_stops_after_patience_epochs_without_improvement() -> None:
    stopping = EarlyStopping(patience=2)
    decisions = []
    for epoch, loss in enumerate([1.0, 0.5, 0.6, 0.5, 0.4]):
        stopping = stopping.update(loss, step=10 * epoch)
        decisions.append((stopping.improved, stopping.stop))
    assert decisions == [(True, False), (True, False), (False, False), (False, True), (True, False)]
    assert (stopping.best, stopping.best_step) == (0.4, 40)


def test_zero_patience_never_stops() -> None:
    stopping = EarlyStopping(patience=0).update(1.0, step=1)
    for step in range(2, 50):
        stopping = stopping.update(2.0, step=step)
    assert not stopping.stop


def test_a_loss_that_is_not_a_number_is_no_improvement() -> None:
    stopping = EarlyStopping(patience=1).update(float("nan"), step=1)
    assert stopping.stop
    assert not stopping.improved


def test_survives_json() -> None:
    for stopping in (EarlyStopping(patience=3), EarlyStopping(patience=3).update(0.1, step=7)):
        text = json.dumps(stopping.to_json(), allow_nan=False)
        assert EarlyStopping.from_json(json.loads(text)) == stopping


@pytest.mark.parametrize(
    ("criterion", "order"),
    [(Criterion.CROSS_ENTROPY, ["blind", "finds some"]), (Criterion.DICE, ["finds some", "blind"])],
)
def test_a_segmenter_that_finds_lesions_is_better_than_a_blind_one(
    criterion: Criterion, order: list[str]
) -> None:
    epochs = {
        "blind": {"cross_entropy": 0.19, "dice": 0.0},
        "finds some": {"cross_entropy": 0.70, "dice": 0.35},
    }
    assert sorted(epochs, key=lambda name: criterion.loss(epochs[name])) == order


def test_a_segmenter_that_finds_nothing_for_long_keeps_its_later_checkpoint() -> None:
    """Nothing is found for five epochs while the cross-entropy falls, then a little."""
    criterion, stopping = Criterion.DICE, EarlyStopping(patience=2)
    epochs = [(0.9, 0.0), (0.5, 0.0), (0.6, 0.0), (0.6, 0.0), (0.55, 0.0), (0.4, 0.02), (0.3, 0.01)]
    best, improved = [], []
    for step, (cross_entropy, dice) in enumerate(epochs):
        loss = criterion.loss({"cross_entropy": cross_entropy, "dice": dice})
        stopping = stopping.update(loss, step=step, counts=not criterion.finds_nothing(loss))
        best.append(stopping.best_step)
        improved.append(stopping.improved)
        assert not stopping.stop
    assert best == [0, 1, 1, 1, 1, 5, 5], "never the first of many zeros, then the first lesion"
    assert improved == [True, True, False, False, False, True, False]
    assert stopping.update(1.0, step=7).stop, "once something is found, patience runs"


def test_finding_no_lesion_is_reported() -> None:
    blind = Criterion.DICE.loss({"cross_entropy": 0.25, "dice": 0.0})
    line = "validation Dice 0, no lesion found yet (cross-entropy 0.2500)"
    assert Criterion.DICE.describe(blind) == line
    assert not Criterion.CROSS_ENTROPY.finds_nothing(1.5)


def test_an_undefined_dice_counts_as_zero_and_values_are_reported() -> None:
    assert Criterion.DICE.loss({"cross_entropy": 0.1}) == 1.1
    assert Criterion.DICE.describe(0.65) == "validation Dice 0.3500"
    assert Criterion.CROSS_ENTROPY.describe(0.65) == "validation cross-entropy 0.6500"
