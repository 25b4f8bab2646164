"""A study file as a document: YAML with places, its keys, and its mistakes."""
