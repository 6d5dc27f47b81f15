"""From a list to a shorter one: every pass takes instructions and returns ones that leave the same values behind."""
