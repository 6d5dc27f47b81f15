"""Faces: the names and conventions of four courses over the one engine, for scripts written for those courses.

``from mytorch.faces import needle as ndl``, and likewise `vugrad`, `backproppable` and `variable`.  A face knows
no mathematics: its operators compute with the rules of `mytorch.rules`, and its backward is the tape's sweep.
Faces know nothing of each other.
"""
