"""The paper's own kind of masks: annotated in 36 % of COVID-19, predicted by step 1 everywhere else.

    mgajax experiment paper_masks --workdir runs/paper_masks --runs runs/shared --seeds 5

Table 4's guided model and Figure 8's on 20 to 80 % of the data learn from such masks, beside the same
with every mask exact and the same without guidance. Drawn slices only. Every test slice keeps its
exact mask, so that attention is measured by the same lesions in every arm. Three hours on two CPU
cores with `--jobs 2`.
"""

from ml_collections import ConfigDict

from mgajax.config import classification, data_size_arms

PERCENTAGES = (20, 30, 40, 80)

MASKS = {
    "annotated": 0.36,
    "annotated_class": "COVID-19",
    "exact_test": True,
    "masks": "binary",
    # 38 slices to learn from: as many steps as the quickstart's segmenter takes.
    "step1_epochs": 60,
}
"""Paper §4 and §5.1: 2,729 of 7,593 COVID-19 slices have a mask, and no other slice."""


def get_config() -> ConfigDict:
    """Three rows of Table 4, Figure 8 at four sizes, and each guided model again with these masks."""
    plan = ConfigDict(sort_keys=False)
    for network in ("resnet18", "resnet18_cbam", "mga_resnet18"):
        plan[network] = classification(network)
    plan.mga_predicted = _with_masks(classification("mga_resnet18"))
    sizes = data_size_arms(PERCENTAGES)
    for percent in PERCENTAGES:
        for task in ("single", "multi"):
            plan[f"{task}_{percent}"] = sizes[f"{task}_{percent}"]
        again = data_size_arms((percent,))[f"multi_{percent}"]
        plan[f"predicted_{percent}"] = _with_masks(again)
    return plan


def _with_masks(config: ConfigDict) -> ConfigDict:
    config.data.drawn = ConfigDict(MASKS)
    return config
