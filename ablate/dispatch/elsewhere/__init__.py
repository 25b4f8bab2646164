"""What workers on other hosts need: a grid file, a queue, and a command that watches."""
