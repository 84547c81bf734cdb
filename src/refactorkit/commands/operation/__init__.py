"""What cutover and rollback have in common: questions before, checks and a report after."""
