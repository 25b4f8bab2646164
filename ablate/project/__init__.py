"""What a project is and can do: plans, results, pages, check-ups. It knows nothing of a command line, and prints nothing."""
