"""A module with a number that tests change."""

SCALE = 1.0
