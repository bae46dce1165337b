import numpy as np

from mgajax.evaluation import classification_metrics, lesion_overlap, overlap_summary
from mgajax.evaluation.predictions import Predictions
from mgajax.reporting.tables.metrics_tables import metrics_table


def _metrics(**options):
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6]] * 5)
    return classification_metrics(p, np.array([0, 1, 2, 2] * 5), **options)


def test_table_has_values_and_intervals():
    patients = [f"jun/{i % 7}" for i in range(20)]
    metrics = _metrics(patients=patients, bootstrap=50)
    table = metrics_table({"model": "mga_resnet18", "split": "test", **metrics})
    lines = table.splitlines()
    head = "mga_resnet18, test split: 20 slices of 7 patients [95% intervals over patients]"
    assert lines[0] == head
    binary = metrics["covid_vs_rest"]
    span = metrics["intervals"]["covid_vs_rest"]["precision"]
    cell = f"{binary['precision']:.3f} [{span['low']:.3f}, {span['high']:.3f}]"
    row = next(line for line in lines if line.strip().startswith("precision"))
    assert row.split(maxsplit=1)[1] == cell
    assert "COVID-19 vs rest, 7 patients" in table
    assert all(len(line) < 100 and line == line.rstrip() for line in lines)


def test_table_without_patients_or_intervals_is_shorter():
    table = metrics_table(_metrics(bootstrap=0))
    assert "patients" not in table
    assert "[" not in table


def test_patients_of_each_class_are_counted_where_known():
    predictions = Predictions(
        file_names=np.array(["a", "b", "c", "d"]),
        labels=np.array([0, 0, 2, 2]),
        probabilities=np.full((4, 3), 1 / 3),
        patients=np.array(["jun/1", "jun/2", "jun/2", "jun/2"]),
        sources=np.full(4, "jun"),
        split="test",
    )
    counts = predictions.class_counts()
    assert counts["CAP"] == {"slices": 2, "patients": 1}
    lines = metrics_table({**_metrics(bootstrap=0), "class_counts": counts}).splitlines()
    cells = [line.split(maxsplit=1) for line in lines[2:5]]
    assert cells == [["Normal", "2 of 2"], ["COVID-19", "0 of 0"], ["CAP", "2 of 1"]]


def test_undefined_is_a_dash():
    metrics = classification_metrics(np.array([[0.2, 0.7, 0.1]]), np.array([1]), bootstrap=0)
    row = next(line for line in metrics_table(metrics).splitlines() if "specificity" in line)
    assert row.split() == ["specificity", "–"]


def test_overlap_is_shown_when_measured():
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[0, 2:5, 2:5] = 255
    attention = np.random.default_rng(0).uniform(size=(2, 4, 4)).astype(np.float32)
    overlap = overlap_summary(lesion_overlap(attention, masks), bootstrap=20)
    table = metrics_table({**_metrics(bootstrap=0), "attention_overlap": overlap})
    assert "attention, slices with a lesion: 1" in table
    assert f"{overlap['rank_auc']['mean']:.3f}" in table
