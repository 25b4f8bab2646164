"""What workers on other hosts need: a file of the grid, a queue, and somebody who watches."""
