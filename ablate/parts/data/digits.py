"""Handwritten digits of 8x8 pixels that come with scikit-learn.

Paper    Alpaydin and Kaynak 1998, UCI optical recognition of handwritten digits (its test set).
Form     0 to 16 scaled to 0 to 255, grey repeated to RGB; no official split.
When     To try things: it needs no files, and a small network learns it in seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.parts.declare import FRACTIONS, DataSet

if TYPE_CHECKING:
    from ablate.parts.reading.source import Reading, Source


def open_digits(place: Path) -> Source:
    """scikit-learn's digits; `place` is not looked at."""
    import numpy as np

    from ablate.parts.reading.arrays import Part, reading
    from ablate.parts.reading.source import WHOLE, Source

    def read(image_size: int | None) -> Reading:
        from sklearn.datasets import load_digits  # half a second, and only this data set needs it

        bunch = load_digits()
        images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
        return reading([Part(WHOLE, images, bunch.target.astype(np.int64))], None, "digits", image_size)

    return Source("digits", "scikit-learn", "scikit-learn", None, read)


PART = DataSet(
    name="digits",
    open=open_digits,
    classes=10,
    images=1797,
    embedded=True,
    official=(),
    split=FRACTIONS,
    get="comes with scikit-learn",
    cite="Alpaydin and Kaynak 1998, UCI optical recognition of handwritten digits",
)
