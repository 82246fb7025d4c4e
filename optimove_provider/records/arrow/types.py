"""Names for the NumPy arrays that Arrow's buffers are seen as."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
"""A yes or no for each value."""
Bytes = npt.NDArray[np.uint8]
"""Text, byte by byte."""
Integers = npt.NDArray[np.int64]
"""Numbers of rows, counts, seconds."""
Offsets = npt.NDArray[np.int64]
"""Where something starts or ends, in bytes."""
