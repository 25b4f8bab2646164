"""The executors, a declaration a file: drop a file into this folder and `--executor` knows it.

A file holds ENGINE, an `ablate.dispatch.declare.Engine`; its `make` imports what does the work. Other packages give theirs by the
entry-point group `ablate.executors`.
"""
