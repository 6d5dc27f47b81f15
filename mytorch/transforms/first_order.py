"""First derivatives: gradients, and the reverse and forward linear maps that everything else is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mytorch.transforms.linearize import (
    Linearization,
    check_function,
    constants,
    matched,
    named,
    variable_numbers,
)


def grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    r"""Return the function that computes the gradient of the scalar function `f`.

    .. math:: (\nabla f(x))_i = \partial f / \partial x_i

    Parameters
    ----------
    f : function that returns one real number (an array with one entry)
    argnums : the position, or positions, of the arguments to differentiate with respect to; other arguments,
        and keyword arguments, are passed on as they are
    has_aux : whether f returns a pair (result, auxiliary data that is not differentiated)
    holomorphic : whether f is a complex-analytic function of complex arguments.  Then the result is its complex
        derivative f'(z).  Otherwise f must be real, and for an argument z = a + ib the gradient is
        ∂f/∂a + i ∂f/∂b, PyTorch's convention: the direction in which f increases fastest (in JAX and
        HIPS/autograd it is the conjugate of that).

    Returns
    -------
    function of the same arguments that returns the gradient, in the argument's structure and dtypes (a tuple for a
    tuple of argnums), or (gradient, aux) with `has_aux`.  The gradient consists of ndarrays; of Tensors where
    something outside is differentiating, so that transforms can be nested in any way.

    Raises
    ------
    TypeError
        If f returns no array or a complex one (without `holomorphic`), or an argument is not floating-point.
    ValueError
        If the result has more than one entry, or argnums is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> grad(lambda x: np.sum(np.tanh(x)))(np.array([0.0, 1.0]))
    array([1.        , 0.41997434])
    >>> grad(grad(grad(np.sin)))(np.pi)
    array(1.)
    >>> grad(lambda p: p["a"] * p["b"] ** 2)({"a": 2.0, "b": 3.0})
    {'a': array(9.), 'b': array(12.)}
    """
    check_function("grad", f)
    pair = value_and_grad(f, argnums, has_aux, holomorphic)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gradient = pair(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return named(gradient, "grad", f)


def value_and_grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """Return the function that computes the value and the gradient of the scalar function `f`, in one run.

    Parameters and errors are those of `grad`.

    Returns
    -------
    function of the same arguments that returns (value, gradient), or ((value, aux), gradient) with `has_aux`

    Examples
    --------
    >>> import numpy as np
    >>> value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    (array(5.), array([2., 4.]))
    """

    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        numbers = variable_numbers("grad", argnums, len(args))
        run = Linearization("grad", f, args, kwargs, numbers, has_aux)
        run.check_scalar()
        gradient = run.arguments(run.derivative(holomorphic), argnums)
        return ((run.result, run.aux), gradient) if has_aux else (run.result, gradient)

    return named(value_and_gradient, "value_and_grad", f)


def elementwise_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, holomorphic: bool = False
) -> Callable[..., Any]:
    r"""Return the function that computes the derivative of `f`, a function that acts on each entry by itself.

    .. math:: (f'(x))_i = \sum_j \partial f_j / \partial x_i

    For a function that mixes entries, this is the sum of the rows of its Jacobian.  Where an argument was
    broadcast, the derivative is summed over what it was broadcast to.  Parameters and errors are those of `grad`,
    but the result may have any shape.

    Examples
    --------
    >>> import numpy as np
    >>> elementwise_grad(np.sin)(np.array([0.0, np.pi]))
    array([ 1., -1.])
    """

    def derivative(*args: Any, **kwargs: Any) -> Any:
        numbers = variable_numbers("elementwise_grad", argnums, len(args))
        run = Linearization("elementwise_grad", f, args, kwargs, numbers)
        return run.arguments(run.derivative(holomorphic), argnums)

    return named(derivative, "elementwise_grad", f)


def vjp(f: Callable[..., Any], *args: Any, has_aux: bool = False) -> Any:
    r"""Return the value of `f` and its pullback, the vector-Jacobian product in reverse mode.

    .. math:: \bar x = J(x)^T \bar y

    Parameters
    ----------
    f : function of arrays, or of nested lists, tuples and dicts of arrays
    *args : its arguments, all of which are differentiated
    has_aux : whether f returns a pair (result, auxiliary data that is not differentiated)

    Returns
    -------
    (result, pullback), or (result, pullback, aux).  ``pullback(cotangent)`` takes a tree of the result's structure
    and shapes and returns a tuple with the cotangent of every argument; it may be called any number of times.
    For complex values Jᵀ is the conjugate transpose, as in PyTorch.

    Raises
    ------
    TypeError
        If f returns no arrays, or an argument is not floating-point.
    ValueError
        If the cotangent's structure or shape is not that of the result.

    Examples
    --------
    >>> import numpy as np
    >>> y, pullback = vjp(np.multiply, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> y, pullback(np.array([1.0, 10.0]))
    (array([3., 8.]), (array([ 3., 40.]), array([ 1., 20.])))
    """
    check_function("vjp", f, "(f, x)")
    run = Linearization("vjp", f, args, {}, range(len(args)), has_aux)

    def pullback(cotangent: Any) -> Any:
        cotangents = matched("vjp: the cotangent", cotangent, run.result_structure, run.outputs)
        return run.structure.unflatten(run.pull(cotangents))

    return (run.result, pullback, run.aux) if has_aux else (run.result, pullback)


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    r"""Return the value of `f` and the Jacobian-vector product: the derivative along a direction, in forward mode.

    .. math:: \dot y = J(x) \dot x

    It is computed as the transpose of the reverse map, which is linear (see `mytorch.transforms.linearize`).

    Parameters
    ----------
    f : function of arrays, or of nested lists, tuples and dicts of arrays
    primals : tuple or list of its arguments, all of which are differentiated
    tangents : a direction, of the structure and shapes of `primals`
    has_aux : whether f returns a pair (result, auxiliary data that is not differentiated)

    Returns
    -------
    (result, tangent of the result), or (result, tangent, aux)

    Raises
    ------
    TypeError
        If f returns no arrays, or a primal is not floating-point, or a tangent is complex where the primal is real.
    ValueError
        If the structure or shape of the tangents is not that of the primals.

    Examples
    --------
    >>> import numpy as np
    >>> jvp(lambda x: np.outer(x, x), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    (array([[1., 2.], [2., 4.]]), array([[2., 2.], [2., 0.]]))
    """
    check_function("jvp", f, "(f, (x,), (v,))")
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise TypeError(
                f"jvp: {name} must be a tuple with one entry per argument, got {type(value).__name__}"
            )
    run = Linearization("jvp", f, tuple(primals), {}, range(len(primals)), has_aux)
    directions = matched("jvp: the tangent", tuple(tangents), run.structure, run.variables)
    tangent = run.result_structure.unflatten(run.push(directions))
    return (run.result, tangent, run.aux) if has_aux else (run.result, tangent)


def stop_gradient(tree: Any) -> Any:
    """Return the values of an array (or a tree of them) as constants: plain ndarrays with a derivative of zero.

    Examples
    --------
    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    array(3.)
    """
    return constants(tree)
