"""The declarative mapping of a refactor, and the SQL that is compiled from it. Pure."""
