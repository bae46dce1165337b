"""How far a slice's source gives away its class: from not at all (0) to always (100 %).

    mgajax experiment shortcut --workdir runs/shortcut --runs runs/shared

Needs drawn slices, whose sources can be dealt by class.
"""

from ml_collections import ConfigDict

from mgajax.config import classification

DIALS = (0, 50, 100)
MODELS = {"resnet18": "resnet18", "cbam": "resnet18_cbam", "mga": "mga_resnet18"}


def get_config() -> ConfigDict:
    """`mga_50`, … for each model and dial."""
    plan = ConfigDict(sort_keys=False)
    for dial in DIALS:
        for name, network in MODELS.items():
            config = classification(network)
            config.data.drawn = ConfigDict({"shortcut": dial / 100})
            plan[f"{name}_{dial}"] = config
    return plan
