"""Every study by its name."""

from collections.abc import Mapping

from mgajax.experiments import claims, classifiers, fractions, table3
from mgajax.experiments.study import Study

STUDIES: Mapping[str, Study] = {
    **table3.STUDIES,
    **classifiers.STUDIES,
    **fractions.STUDIES,
    **claims.STUDIES,
}
