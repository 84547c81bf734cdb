"""What ``preflight`` asks the server: one snapshot that changes nothing, and a sample rolled back.

Each longer question is a file beside this one, for a DBA to read.
"""
