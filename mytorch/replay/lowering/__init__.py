"""From a listing to what runs: where memory lies, which call writes a result there fastest, and the text of it all.

In reading order: `planning` (lifetimes and places), `forms` (the calls for an instruction), `backends` (who else may
give them) with `scratch` (memory to measure on), `writing` (the text), `states` (random generators, put back).
"""
