"""Plans, results, pages and check-ups, for the Python API and for the command line. Nothing here prints."""
