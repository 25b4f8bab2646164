"""A script for two processes: each has a rank, the first one prints."""

import argparse
import os
import random

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--sync-bn", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
assert os.environ["MASTER_PORT"].isdigit()
assert world == 2
random.seed(args.seed)
for epoch in (1, 2, 3):
    if rank == 0:
        print(f"epoch {epoch}: loss {(1.0 - 0.2 * args.sync_bn + 0.1 * random.random()) / epoch:.4f}")
