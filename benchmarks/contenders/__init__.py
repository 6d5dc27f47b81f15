"""The sides of the races, one module per work and family: functions that prepare one step of it.

Importing a module here loads NumPy and nothing else; a framework is loaded by the function that needs it, in the
process of its contender.
"""
