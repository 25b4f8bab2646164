"""What `lightgbm.train` with log_evaluation and early_stopping prints."""

import argparse
import math

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--leaves", type=int, default=31)
parser.add_argument("--rounds", type=int, default=100)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

print("[LightGBM] [Info] Number of positive: 212, number of negative: 357")
print("Training until validation scores don't improve for 10 rounds")
best = 0.9 - 0.05 * abs(math.log10(args.learning_rate / 0.03)) + args.leaves / 1000 + 0.01 * args.seed
for step in range(1, args.rounds + 1):
    print(f"[{step}]\tvalid_0's auc: {best - 0.1 / step:.6g}\tvalid_0's binary_logloss: {1 - best:.6g}")
print(f"Did not meet early stopping. Best iteration is:\n[{step}]\tvalid_0's auc: {best - 0.1 / step:.6g}")
print(f"test auc: {best - 0.01:.6g}")
