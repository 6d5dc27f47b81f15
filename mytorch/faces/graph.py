"""What the faces that show a graph share: its nodes in order, and its steps as records that the tape's sweep reads.

There is one reverse pass, `mytorch.autograd_engine.sweep`.  A face that shows its users a graph puts the nodes in
order, describes each as a `Step`, and lets the sweep walk the list as it walks any other tape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from mytorch.gradient_buffer import Shadow
from mytorch.records import Record, TapeError
from mytorch.rules.registry import Rule
from mytorch.sweep import sweep

N = TypeVar("N")


def post_order(
    roots: Iterable[N],
    inputs_of: Callable[[N], Sequence[N]],
    seen: set[int] | None = None,
) -> list[N]:
    """Return `roots` and all that they depend on, each once, as a depth-first walk leaves them: inputs first.

    Without recursion, so that a chain may be as long as memory allows.  Nodes whose `id` is in `seen` are passed
    over, and those met are put in.
    """
    order: list[N] = []
    seen = set() if seen is None else seen
    # None says that all inputs of the node below it on the stack are done.
    waiting: list[Any] = list(roots)[::-1]
    pop, done, meet = waiting.pop, order.append, seen.add
    while waiting:
        node = pop()
        if node is None:
            done(pop())
        elif id(node) not in seen:
            meet(id(node))
            inputs = inputs_of(node)
            if inputs:
                waiting += (node, None, *inputs[::-1])
            else:
                done(node)
    return order


class Step(Record):
    """An application of an operator, as the sweep reads it.

    Attributes
    ----------
    rule, inputs, output, static, metas : as an `Operation` has them
    target : the name of the output, or a tuple of names: then the rule is given a tuple of gradients
    targets : per input its name (None: no gradient is wanted).  An operator of the user's, which gives the
        gradients of all inputs at once, has one entry that is a tuple of names.
    """

    __slots__ = ("inputs", "metas", "output", "rule", "static", "target", "targets")
    code, lasti = None, 0

    def __init__(
        self,
        rule: Rule,
        inputs: Any,
        output: Any,
        target: Any,
        targets: Any,
        metas: Any = None,
        static: Any = None,
    ) -> None:
        self.rule = rule
        self.inputs = inputs
        self.output = output
        self.target = target
        self.targets = targets
        self.metas = metas
        self.static = static


def whole(name: str, pull: Callable[[Any, Any], Sequence[Any]]) -> Rule:
    """Return the rule of operators that give all gradients at once, as ``pull(g, step)``."""
    rule = Rule(pull, (), name=name, holomorphic=False)
    rule.vjps = (pull,)
    return rule


class NodeShadow(Shadow):
    """The gradients of nodes during one pass, where a tuple of names stands for the nodes together."""

    __slots__ = ()

    def add(self, target: Any, gradient: Any) -> None:
        """Add the gradient of a node, or those of several (None: there is none)."""
        if type(target) is int:
            self._add_whole(target, gradient)
            return
        for name, part in zip(target, gradient, strict=True):
            if name is not None and part is not None:
                self._add_whole(name, part)


def walk(steps: Sequence[Step], shadow: Shadow) -> None:
    """Run the tape's reverse pass; what an operator of the user's raises comes out as it is."""
    try:
        sweep(steps, shadow)
    except TapeError as error:
        raise (error.__cause__ or error) from None
