"""Name the types of arrays, for annotations; nothing is loaded for them."""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = "NDArray[Any]"
DType: TypeAlias = "DTypeLike"
Floats: TypeAlias = "NDArray[np.floating[Any]]"  # of 16, 32 or 64 bits
Floats32: TypeAlias = "NDArray[np.float32]"
Floats64: TypeAlias = "NDArray[np.float64]"
Ints: TypeAlias = "NDArray[np.int64]"
Numbers: TypeAlias = "NDArray[np.floating[Any] | np.integer[Any]]"
Bools: TypeAlias = "NDArray[np.bool_]"
