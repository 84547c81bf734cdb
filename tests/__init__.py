"""The tests: unit, property, integration, conformance."""
