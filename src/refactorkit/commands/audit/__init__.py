"""Evidence: made, signed again, verified, and opened for one person."""
