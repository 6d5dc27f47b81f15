"""From a call to a listing: a function runs once on what stands for arrays, and every NumPy call is noted.

In reading order: `traced` and `numbers` (what stands for an array, and for a number of Python's), `memories` and
`recorder` (which memory is known, and what is done to it), `tensors` (Tensors while a call is recorded), `captured`
(what the function takes from outside), `making`, `draws` and `impure` (NumPy's makers of arrays, random generators, and
what answers differently every time), `settling` (what all these leave behind), `stand_ins` (who puts them in place),
`blocks` (parameters one after the other), `locals` (names for the text), `containers` (lists and dicts among the
arguments), and `recording` (one recorded call).
"""
