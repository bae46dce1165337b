"""Early stopping is a value: same losses, same decision, also through a checkpoint."""

import json

from mgajax.training.early_stopping import EarlyStopping


def test_stops_after_patience_epochs_without_improvement() -> None:
    stopping = EarlyStopping(patience=2)
    decisions = []
    for epoch, loss in enumerate([1.0, 0.5, 0.6, 0.5, 0.4]):
        stopping = stopping.after(loss, step=10 * epoch)
        decisions.append((stopping.improved, stopping.stop))
    assert decisions == [(True, False), (True, False), (False, False), (False, True), (True, False)]
    assert (stopping.best, stopping.best_step) == (0.4, 40)


def test_zero_patience_never_stops() -> None:
    stopping = EarlyStopping(patience=0).after(1.0, step=1)
    for step in range(2, 50):
        stopping = stopping.after(2.0, step=step)
    assert not stopping.stop


def test_a_loss_that_is_not_a_number_is_no_improvement() -> None:
    stopping = EarlyStopping(patience=1).after(float("nan"), step=1)
    assert stopping.stop
    assert not stopping.improved


def test_survives_json() -> None:
    for stopping in (EarlyStopping(patience=3), EarlyStopping(patience=3).after(0.1, step=7)):
        text = json.dumps(stopping.to_json(), allow_nan=False)
        assert EarlyStopping.from_json(json.loads(text)) == stopping
