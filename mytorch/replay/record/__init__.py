"""From a call to a list: a function runs once on what stands for arrays, and every NumPy call is noted."""
