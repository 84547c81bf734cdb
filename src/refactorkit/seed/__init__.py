"""Made-up rows of version 10: numbers in, COPY text out. Pure, and the same on every machine."""
