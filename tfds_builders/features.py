"""The record of all data sets: `covid_ct_slices`, `covid_ct_lesions` and `ct_phantom`.

Images are given to TFDS as PNG bytes: without TensorFlow it encodes no arrays.
"""

import numpy as np
import tensorflow_datasets as tfds

from mgajax.schema import CLASS_NAMES, MASK_ORIGINS, SOURCES


def slice_features() -> dict[str, tfds.features.FeatureConnector]:
    """A new feature dictionary of one slice; the caller may add features.

    image and lesion_mask are uint8 `[h, w, 1]`, lossless PNG, of the same height and width. The
    mask is 0 or 255, or, where `mask_origin` is "predicted", as the segmenter wrote it: 0..255, the
    probability of lesion times 255. It is all zero where `mask_origin` is "none". `age` is in years, -1
    where unknown; `flags` are comma-joined notes ("upside_down") and mostly empty.
    """
    return {
        "image": tfds.features.Image(shape=(None, None, 1), dtype=np.uint8, encoding_format="png"),
        "lesion_mask": mask_feature(),
        "mask_origin": tfds.features.ClassLabel(names=list(MASK_ORIGINS)),
        "label": tfds.features.ClassLabel(names=list(CLASS_NAMES)),
        "patient": tfds.features.Text(doc="source-qualified; double identities are merged"),
        "source": tfds.features.ClassLabel(names=list(SOURCES)),
        "file_name": tfds.features.Text(),
        "country": tfds.features.Text(doc="'' where unknown"),
        "age": tfds.features.Scalar(dtype=np.int32, doc="years; -1 where unknown"),
        "gender": tfds.features.Text(doc="M, F or '' where unknown"),
        "flags": tfds.features.Text(doc="comma-joined notes, e.g. upside_down"),
    }


def mask_feature() -> tfds.features.Image:
    """A mask, uint8 `[h, w, 1]` of 0 and 255 (or between, see above), stored as lossless PNG."""
    return tfds.features.Image(shape=(None, None, 1), dtype=np.uint8, encoding_format="png")
