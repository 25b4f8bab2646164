"""The report formats, a declaration a file: drop a file into this folder and `--format` knows it.

A file holds FORMAT, an `ablate.report.declare.Format`. Other packages give theirs by the entry-point group `ablate.formats`.
"""
