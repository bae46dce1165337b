"""Table 5: the stage whose attention map the lesion mask guides (Paper §6.3).

mgajax experiment table5 --workdir runs/table5 [--data DATASET]
"""

from ml_collections import ConfigDict

from mgajax.config import classification


def get_config() -> ConfigDict:
    """A configuration for each row of the table; stage 3 is the proposed model of Table 4."""
    plan = ConfigDict(sort_keys=False)  # rows stand in this order
    for stage in (1, 2, 3):
        config = classification("mga_resnet18")
        config.model.options.mga_stage = stage
        plan[f"stage{stage}"] = config
    return plan
