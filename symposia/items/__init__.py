"""Bundled problems: one JSON Lines file per kind of task, easy to hard, each row with its reference answer."""
