"""From a list to what runs: where memory lies, which call writes a result there fastest, and the text of it all."""
