"""The local autograder: the hand-in runs in a process of its own, PyTorch and the verdict stay in this one.

Everything that the hand-in's process says is a claim, "this array has these numbers", and nothing but a
claim: the inputs, the expected values, the comparison and the score line live where the hand-in's code never
runs. So a hand-in that exits, hangs, prints a score line of its own or replaces NumPy's comparisons loses the
points of the test it did that in, and no others.

* `test_*.py`: the tests, each with its untrusted half (runs the hand-in) and its trusted half (PyTorch)
* `helpers.py`: what a test is made of
* `worker.py`, `remote.py`, `wire.py`: the hand-in's process, the talk with it, arrays on the way
* `grading.py`, `compare.py`, `hints.py`: verdict, differences, and their explanation in words
* `report.py`: what is printed; other forms of report are further functions of the same results
* `packing.py`: what `handin.sh` packs, and how a handin.tar is unpacked
* `hw1_autograd_runner.py`: the command

This keeps mistakes and tricks out of the score. It is no sandbox: the hand-in runs with the rights of
whoever grades it, which is right for students who grade their own code.
"""
