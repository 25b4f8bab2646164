import random
import sys

random.seed(int(sys.argv[2]))
for _ in range(200):
    x = random.random()
    print(x, int(x + 0.4 * random.random() > 0.7), sep="\t")
