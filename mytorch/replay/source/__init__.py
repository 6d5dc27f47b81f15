"""From a list to what a person reads: a module of straight-line NumPy that runs on its own."""
