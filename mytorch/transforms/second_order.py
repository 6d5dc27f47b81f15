"""Jacobians and Hessians, and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mytorch import trees
from mytorch.tensor import Tensor
from mytorch.transforms.first_order import grad
from mytorch.transforms.linearize import Linearization, check_function, matched, named, variable_numbers

# A forward map costs one recorded pass before the first column; measured in passes that are not.
FORWARD_START = 4


def jacobian(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    r"""Return the function that computes the Jacobian of `f`.

    .. math:: J_{ij} = \partial f_i / \partial x_j

    It is computed column by column in forward mode, or row by row in reverse mode, whichever are fewer.

    Parameters
    ----------
    f : function of arrays, or of nested lists, tuples and dicts of arrays
    argnums : the position, or positions, of the arguments to differentiate with respect to
    has_aux : whether f returns a pair (result, auxiliary data that is not differentiated)
    holomorphic : whether f is a complex-analytic function of complex arguments; then J has the complex derivatives.
        Otherwise, for complex arguments f must be real, and a row of J is the gradient of that entry (see `grad`).

    Returns
    -------
    function of the same arguments that returns J: per array y of the result and array x of the argument an array of
    the shape ``y.shape + x.shape`` and the dtype of x (complex where y is), in a tree of the result's structure
    whose leaves have the argument's structure; or (J, aux) with `has_aux`

    Raises
    ------
    TypeError
        If f returns no arrays, an argument is not floating-point, or f is complex of complex arguments and
        `holomorphic` is not set.
    ValueError
        If argnums is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(lambda x: np.stack([x[0] * x[1], x[1] ** 2, x[0]]))(np.array([2.0, 3.0]))
    array([[3., 2.],
           [0., 6.],
           [1., 0.]])
    """

    def matrix(*args: Any, **kwargs: Any) -> Any:
        numbers = variable_numbers("jacobian", argnums, len(args))
        run = Linearization("jacobian", f, args, kwargs, numbers, has_aux)
        run.check_holomorphic(holomorphic, real_arguments=True)
        rows = [run.arguments(row, argnums) for row in _blocks(run, holomorphic)]
        result = run.result_structure.unflatten(rows)
        return (result, run.aux) if has_aux else result

    return named(matrix, "jacobian", f)


def _blocks(run: Linearization, holomorphic: bool) -> list[list[Any]]:
    """Return, per output and variable, the block of the Jacobian."""
    complex_inputs = any(x.dtype.kind == "c" for x in run.variables)
    complex_outputs = any(y.dtype.kind == "c" for y in run.outputs)
    rows, columns = (sum(x.size for x in group) for group in (run.outputs, run.variables))
    forward = columns + FORWARD_START < rows
    if complex_inputs != complex_outputs:
        forward = complex_outputs  # a cotangent, or tangent, of one gives the whole row, or column
    if forward:
        table = _unit_images(run.variables, run.forward(), run.outputs)
        return [
            [_assembled(table[j][i], y, x, -1) for j, x in enumerate(run.variables)]
            for i, y in enumerate(run.outputs)
        ]
    table = _unit_images(run.outputs, run.pull, run.variables)
    conjugate = np.conj if holomorphic else _same
    return [
        [conjugate(_assembled(table[i][j], y, x, 0)) for j, x in enumerate(run.variables)]
        for i, y in enumerate(run.outputs)
    ]


def _unit_images(
    sources: Sequence[Tensor], apply: Callable[[Sequence[Any]], list[Any]], goals: Sequence[Tensor]
) -> list[list[list[Any]]]:
    """Return, per source and goal, the list of what `apply` makes of the source's unit vectors there."""
    units = [np.zeros(x.shape, x.dtype) for x in sources]
    table: list[list[list[Any]]] = []
    for unit in units:
        images: list[list[Any]] = [[] for _ in goals]
        for place in np.ndindex(unit.shape):
            unit[place] = 1
            for image, found in zip(images, apply(units), strict=True):
                image.append(found)
            unit[place] = 0
        table.append(images)
    return table


def _assembled(images: list[Any], y: Tensor, x: Tensor, axis: int) -> Any:
    """Return rows (axis 0) or columns (axis -1) as an array of the shape y.shape + x.shape, and the dtype of x."""
    dtype = x.dtype if x.dtype.kind == "c" or y.dtype.kind != "c" else np.result_type(x.dtype, y.dtype)
    if not images:
        return np.zeros(y.shape + x.shape, dtype)
    block = np.stack(images, axis).reshape(y.shape + x.shape)
    return block if block.dtype == dtype else block.astype(dtype)


def _same(value: Any) -> Any:
    return value


def hessian(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    r"""Return the function that computes the matrix of second derivatives of the scalar function `f`.

    .. math:: H_{ij} = \partial^2 f / \partial x_i \partial x_j

    Parameters and errors are those of `grad`.  The result is the Jacobian of the gradient: for an argument of shape s
    an array of shape ``s + s``; for a tree, a tree of trees.  For a large argument use `hvp`, which needs no matrix.

    Examples
    --------
    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([2.0, 3.0]))
    array([[6., 4.],
           [4., 0.]])
    """
    check_function("hessian", f)
    jacobian_of_gradient = jacobian(grad(f, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)

    def matrix(*args: Any, **kwargs: Any) -> Any:
        numbers = variable_numbers("hessian", argnums, len(args))
        leaves, _ = trees.flatten([args[n] for n in numbers])
        if not holomorphic and any(np.iscomplexobj(x) for x in leaves):
            raise TypeError(
                "hessian: a real function of complex arguments has no single matrix of second derivatives; give it "
                "the real and imaginary parts as real arguments, use hvp, or pass holomorphic=True if the function is "
                "complex-analytic"
            )
        return jacobian_of_gradient(*args, **kwargs)

    return named(matrix, "hessian", f)


def hvp(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    r"""Return the function that computes the product of the Hessian of the scalar function `f` with a vector.

    .. math:: H(x) v = \nabla_x \langle \nabla f(x), v \rangle

    It costs a few times what f does, whatever the size of x (Pearlmutter, "Fast exact multiplication by the
    Hessian", 1994), by differentiating the recorded reverse pass in reverse.

    Parameters
    ----------
    f : function that returns one real number
    argnums : the position, or positions, of the arguments to differentiate with respect to

    Returns
    -------
    function of the arguments of f and, after them, the vector v: a tree of the structure and shapes of the argument
    (a tuple for a tuple of argnums).  It returns H v in the same structure.

    Raises
    ------
    TypeError, ValueError
        As `grad` does, and if the structure or shape of v is not that of the argument.

    Examples
    --------
    >>> import numpy as np
    >>> hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([  6., 120.])
    """

    return named(_hessian_product("hvp", f, argnums), "hvp", f)


def _hessian_product(name: str, f: Callable[..., Any], argnums: Any) -> Callable[..., Any]:
    """Return `hvp` of f, whose errors are of `name`."""

    def product(*args_and_v: Any, **kwargs: Any) -> Any:
        run, directions = _run_and_vector(name, f, argnums, args_and_v, kwargs)
        run.check_scalar()
        run.check_holomorphic(False)
        return run.arguments(run.curvature([np.ones(run.outputs[0].shape)], directions), argnums)

    return product


def _run_and_vector(
    name: str, f: Callable[..., Any], argnums: Any, args_and_v: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Linearization, list[Any]]:
    """Return the run of f on its arguments, and the leaves of the vector that was given after them."""
    if len(args_and_v) < 2:
        raise TypeError(f"{name}: expected the arguments of the function and, after them, a vector")
    *args, v = args_and_v
    run = Linearization(name, f, args, kwargs, variable_numbers(name, argnums, len(args)))
    tree = (v,) if isinstance(argnums, int | np.integer) else tuple(v) if isinstance(v, list) else v
    return run, matched(f"{name}: the vector", tree, run.structure, run.variables)


def half_squares(tree: Any) -> Any:
    """Return half the sum of all entries' |y|²: the loss of least squares, whose Hessian is the identity."""
    return sum(np.vdot(y, y).real for y in trees.flatten(tree)[0]) / 2


def ggnvp(
    f: Callable[..., Any], g: Callable[..., Any] = half_squares, argnums: int | Sequence[int] = 0
) -> Callable[..., Any]:
    r"""Return the function that computes the product of the generalized Gauss-Newton matrix of g(f(x)) with a vector.

    .. math:: G(x) v = J_f(x)^T \, H_g(f(x)) \, J_f(x) \, v

    It is the Hessian of the composition without the curvature of f, and positive semi-definite where g is convex
    (Schraudolph, "Fast curvature matrix-vector products", 2002).  As in HIPS/autograd's `make_ggnvp`, g is half the
    sum of squares by default: then G is JᵀJ, the matrix of Gauss and Newton for least squares.

    Parameters
    ----------
    f : function of arrays, or of nested lists, tuples and dicts of arrays
    g : scalar function of the result of f
    argnums : the position, or positions, of the arguments to differentiate with respect to

    Returns
    -------
    function of the arguments of f and, after them, the vector v, as that of `hvp`

    Examples
    --------
    >>> import numpy as np
    >>> ggnvp(lambda x: np.stack([x[0] ** 2, x[1]]))(np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    array([36.,  1.])
    """
    check_function("ggnvp", g)
    curvature = _hessian_product("g of ggnvp", g, 0)

    def product(*args_and_v: Any, **kwargs: Any) -> Any:
        run, directions = _run_and_vector("ggnvp", f, argnums, args_and_v, kwargs)
        bent = curvature(run.result, run.result_structure.unflatten(run.push(directions)))
        return run.arguments(run.pull(run.result_structure.leaves_of(bent, "ggnvp")), argnums)

    return named(product, "ggnvp", f)
