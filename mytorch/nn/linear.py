"""The affine layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.autograd_engine import Autograd
from mytorch.functional import linear
from mytorch.nn.module import ARRAYS, Module
from mytorch.tensor import Tensor


class Linear(Module):
    """The affine map ``y = x Wᵀ + bᵀ`` of every row of a batch.

    Parameters
    ----------
    in_features, out_features : sizes of a row before and after
    autograd_engine : the tape for raw arrays; None for Tensors
    dtype : of the parameters, float64 by default

    Attributes
    ----------
    W : (out_features, in_features), b : (out_features, 1)
        both uniform in ±sqrt(1 / in_features), W drawn first, from NumPy's global generator (`np.random.seed`);
        Tensors that require gradients, or, with an engine, arrays
    dW, db, momentum_W, momentum_b : with an engine, arrays of zeros of the same shapes

    Examples
    --------
    >>> import numpy as np
    >>> from mytorch.autograd_engine import Autograd
    >>> autograd = Autograd()
    >>> layer = Linear(3, 2, autograd)
    >>> y = layer(np.ones((5, 3)))
    >>> autograd.backward(np.ones((5, 2)))
    >>> layer.db
    array([[5.],
           [5.]])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        autograd_engine: Autograd | None = None,
        *,
        dtype: Any = np.float64,
    ) -> None:
        super().__init__(autograd_engine)
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool):
                raise TypeError(f"Linear: {name} must be an int, got {value!r}")
        if in_features < 1 or out_features < 1:
            raise ValueError(
                f"Linear needs at least one feature on each side, got in_features (={in_features}) and "
                f"out_features (={out_features})"
            )
        if np.dtype(dtype).kind not in "fc":
            raise TypeError(f"Linear: dtype must be floating-point, as np.float32, got {np.dtype(dtype)}")
        bound = np.sqrt(1.0 / in_features)
        draw = np.random.mtrand.uniform  # the course's scripts seed NumPy's global generator
        W = draw(-bound, bound, size=(out_features, in_features)).astype(dtype)
        b = draw(-bound, bound, size=(out_features, 1)).astype(dtype)
        self.in_features, self.out_features = in_features, out_features
        self.W: Any = W
        self.b: Any = b
        if autograd_engine is None:
            self.W, self.b = Tensor(W, requires_grad=True), Tensor(b, requires_grad=True)
            return
        self.dW, self.db = np.zeros_like(W), np.zeros_like(b)
        self.momentum_W, self.momentum_b = np.zeros_like(W), np.zeros_like(b)

    def __repr__(self) -> str:
        dtype = "" if self.W.dtype == np.float64 else f", dtype={self.W.dtype}"
        return f"Linear({self.in_features}, {self.out_features}{dtype})"

    def external(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {"W": (self.W, self.dW), "b": (self.b, self.db)}

    def compute(self, *inputs: Any, **parameters: Any) -> Any:
        """Return ``x Wᵀ + bᵀ`` for x of shape (N, in_features)."""
        (x,) = inputs
        W, b = parameters.get("W", self.W), parameters.get("b", self.b)
        if not isinstance(x, ARRAYS):
            raise TypeError(
                f"Linear expects a Tensor or an array of shape (N, {self.in_features}), got {type(x).__name__}; "
                "wrap lists in np.array"
            )
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(
                f"Linear(in_features={self.in_features}) expects a batch of shape (N, {self.in_features}), "
                f"got {x.shape}" + ("; for one row, write x[None]" if x.ndim == 1 else "")
            )
        return linear(x, W, b)
