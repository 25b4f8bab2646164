"""Settings by path, and recipes and commands of trainers that are not ours."""
