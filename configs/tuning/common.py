"""What `mgajax tune` reads beside a configuration.

Not a run by itself.
"""

from ml_collections import ConfigDict


def add_search(config: ConfigDict, space: dict) -> ConfigDict:
    """Give `config` a search.

    Args:
      config: what a trial trains, but for the searched keys.
      space: nested as the configuration; each searched key is (lowest, highest, scale), the scale
        "linear" or "log".
    """
    config.search = ConfigDict()
    config.search.space = ConfigDict(space)
    # What a trial is worth: this number of the validation slices at the trial's best checkpoint.
    config.search.metric = "cross_entropy"
    # minimise or maximise it.
    config.search.goal = "minimise"
    # So many trials are spread over the space before the first suggestion; trial 0 is the
    # configuration as it stands.
    config.search.initial = 6
    # Of the spread and of the suggestions; config.seed is that of each training.
    config.search.seed = 0
    return config
