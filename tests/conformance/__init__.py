"""Comparisons with the real goose and the real sqlc."""
