"""Learning rates over the steps, by `schedule.name`: one file each."""
