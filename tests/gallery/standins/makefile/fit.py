import sys

l2, features, seed = sys.argv[1:]
print(0.7 + 0.1 * (features == "squared") - 0.1 * float(l2) + 0.02 * int(seed))
