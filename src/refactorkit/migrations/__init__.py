"""Goose files as values: text to migrations, files and applied versions to a plan. Pure."""
