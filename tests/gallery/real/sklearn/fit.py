"""A support vector machine, and scikit-learn's report of its classes."""

import argparse

from sklearn.datasets import load_wine
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

parser = argparse.ArgumentParser()
parser.add_argument("--C", type=float, default=1.0)
parser.add_argument("--scale", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

x, test_x, y, test_y = train_test_split(*load_wine(return_X_y=True), test_size=0.4, random_state=args.seed)
model = make_pipeline(*[StandardScaler()] * args.scale, SVC(C=args.C))
print(classification_report(test_y, model.fit(x, y).predict(test_x)))
