"""The command line: one file a command; it joins store, training, dispatch, analysis and report."""
