"""Derivatives of functions of one number, applied to every entry of an array."""

from __future__ import annotations

import numpy as np

from mytorch.rules.registry import backward_of

backward_of(np.exp, lambda g, y: g * y)
backward_of(np.log, lambda g, a: g / a)
backward_of(np.sqrt, lambda g, y: g / (2 * y))
backward_of(np.sin, lambda g, a: g * np.cos(a))
backward_of(np.cos, lambda g, a: -g * np.sin(a))
backward_of(np.tanh, lambda g, y: g * (1 - y * y))
backward_of(np.conjugate, lambda g: np.conj(g), holomorphic=False)
