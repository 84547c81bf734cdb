"""The command line: options, rendering, logging."""
