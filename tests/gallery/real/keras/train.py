"""Keras with PyTorch behind it, and its CSVLogger."""

import argparse

import keras
from sklearn.datasets import load_digits

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--log", required=True)
args = parser.parse_args()

assert keras.backend.backend() == "torch"
keras.utils.set_random_seed(args.seed)
x, y = load_digits(return_X_y=True)
layers = [keras.layers.Dense(32, "relu"), keras.layers.Dropout(args.dropout), keras.layers.Dense(10, "softmax")]
model = keras.Sequential([keras.Input((64,)), *layers])
model.compile(keras.optimizers.SGD(args.lr), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(
    x[:1000] / 16,
    y[:1000],
    50,
    args.epochs,
    verbose=2,
    validation_data=(x[1000:1300] / 16, y[1000:1300]),
    callbacks=[keras.callbacks.CSVLogger(args.log)],
)
print(f"test accuracy {model.evaluate(x[1300:] / 16, y[1300:], verbose=0)[1]:.4f}")
