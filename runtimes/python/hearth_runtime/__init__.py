"""Hearth's side of a Python instance. Nothing in here is for the user's code to import."""
