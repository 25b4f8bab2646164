"""LightGBM with a validation set whose AUC is printed each round."""

import argparse

import lightgbm
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--leaves", type=int, default=31)
parser.add_argument("--rounds", type=int, default=100)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

x, test_x, y, test_y = train_test_split(*load_breast_cancer(return_X_y=True), random_state=args.seed)
x, val_x, y, val_y = train_test_split(x, y, random_state=args.seed)
booster = lightgbm.train(
    {
        "objective": "binary",
        "metric": "auc",
        "learning_rate": args.learning_rate,
        "num_leaves": args.leaves,
        "min_data_in_leaf": 5,
        "num_threads": 1,
    },
    lightgbm.Dataset(x, y),
    args.rounds,
    [lightgbm.Dataset(val_x, val_y)],
    callbacks=[lightgbm.log_evaluation(1), lightgbm.early_stopping(10)],
)
print(f"test auc: {roc_auc_score(test_y, booster.predict(test_x)):.6g}")
