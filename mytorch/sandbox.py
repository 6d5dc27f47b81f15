"""The hand-out's section 3.3 walked through, every number printed: ``python -m mytorch.sandbox``.

A single layer y = x·Wᵀ + bᵀ is two operations on the tape. W and b are parameters, whose gradients the caller
keeps; x and h are data, whose gradients the tape keeps. Change the numbers and run it again.
"""

from __future__ import annotations

import numpy as np

from mytorch import autograd_engine
from mytorch.functional_hw1 import add_backward, matmul_backward


def show(name: str, array: np.ndarray) -> None:
    """Print an array's name, shape and entries."""
    shape = "×".join(map(str, array.shape))
    entries = np.array2string(array, separator=", ", prefix=" " * 18)
    print(f"  {name:<6} {shape:>5}  = {entries}")


def forward(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return h = x·Wᵀ and y = h + bᵀ for rows x (N, in), W (out, in), b (out, 1)."""
    h = x @ W.T
    return h, h + b.T


def main() -> None:
    """Record the two operations, run the reverse pass, and check one gradient by a finite difference."""
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    W = np.array([[0.5, -1.0, 2.0], [1.5, 0.0, -0.5]])
    b = np.array([[0.1], [-0.2]])
    dW, db = np.zeros_like(W), np.zeros_like(b)
    print("x is data, two rows of three; W and b are the parameters of a layer with two outputs.")
    for name, array in (("x", x), ("W", W), ("b", b)):
        show(name, array)

    autograd = autograd_engine.Autograd()
    h, y = forward(x, W, b)

    print("\nEquation (1): h = x·Wᵀ. The gradient of W.T goes to dW.T, a view: so it arrives in dW.")
    autograd.add_operation(
        inputs=[x, W.T], output=h, gradients_to_update=[None, dW.T], backward_operation=matmul_backward
    )
    show("h", h)

    print("\nEquation (2): y = h + bᵀ. b.T is one row, added to every row of h.")
    autograd.add_operation(
        inputs=[h, b.T], output=y, gradients_to_update=[None, db.T], backward_operation=add_backward
    )
    show("y", y)

    print("\nThe tape, in the order in which things happened:")
    for position, operation in enumerate(autograd.operation_list):
        print(f"  {position}  {operation.name}")
    print(f"The gradient buffer has {len(autograd.gradient_buffer.memory)} spots: for x and for h.")

    divergence = np.array([[1.0, 0.0], [0.0, 2.0]])
    print("\nautograd.backward(divergence) walks the tape from its end.")
    show("dL/dy", divergence)
    autograd.backward(divergence)

    print("\nOperation 1, add: dL/dh = dL/dy, and dL/db sums it over the rows that b was added to.")
    show("db", db)
    print("\nOperation 0, matmul: dL/dx = dL/dh·W, and dL/dW = (dL/dh)ᵀ·x.")
    show("dL/dx", autograd.gradient_buffer.get_param(x))
    show("dW", dW)

    step = 1e-6
    moved = W.copy()
    moved[1, 2] += step
    slope = ((forward(x, moved, b)[1] - y) * divergence).sum() / step
    print(f"\nCheck: moving W[1, 2] by {step} changes L = Σ divergence·y at a rate of {slope:.6f};")
    print(f"the tape says dW[1, 2] = {dW[1, 2]:.6f}.")


if __name__ == "__main__":
    main()
