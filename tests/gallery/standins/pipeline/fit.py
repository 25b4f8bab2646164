"""Reads rows from stdin; the share on the wrong side of the rows' own mean is its error."""

import sys

assert sys.argv[1] == "--l2"
rows = [tuple(map(float, line.split("\t"))) for line in sys.stdin]
middle = sum(x for x, _ in rows) / len(rows)
wrong = sum((x > middle) != bool(y) for x, y in rows)
print(f"{len(rows)} rows, {100 * wrong / len(rows):.2f}% wrong")
