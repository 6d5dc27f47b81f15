"""Transforms: from a plain function of arrays to the functions that its derivatives are.

Arguments and results may be arrays or nested lists, tuples and dicts of arrays; transforms may be nested in any
way.  Names and the order of arguments are those of JAX, and of HIPS/autograd where that agrees.  The function is
called with Tensors in the place of arrays, once.

=====================  ==========================================================
`grad`                 the gradient of a scalar function
`value_and_grad`       the same, with the value
`elementwise_grad`     the derivative of a function that acts entry by entry
`vjp`                  the value, and the reverse map: cotangent -> Jᵀ cotangent
`jvp`                  the value, and the forward map: J tangent
`jacobian`             J, by columns or rows, whichever are fewer
`hessian`              the matrix of second derivatives
`hvp`                  its product with a vector, without the matrix
`ggnvp`                the product of the generalized Gauss-Newton matrix with a vector
`custom_gradient`      a function with a derivative of its own
`stop_gradient`        a value as a constant
=====================  ==========================================================
"""

from mytorch.transforms.custom import custom_gradient
from mytorch.transforms.first_order import elementwise_grad, grad, jvp, stop_gradient, value_and_grad, vjp
from mytorch.transforms.second_order import ggnvp, hessian, hvp, jacobian

__all__ = [
    "custom_gradient",
    "elementwise_grad",
    "ggnvp",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
