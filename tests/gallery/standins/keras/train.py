"""What `model.fit(..., callbacks=[CSVLogger(...)])` of Keras leaves: epochs from 0, columns by the alphabet."""

import argparse
import math
import os

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--log", required=True)
args = parser.parse_args()

assert os.environ["KERAS_BACKEND"] == "torch"
best = 0.9 - 0.2 * abs(math.log10(args.lr / 0.03)) + 0.1 * args.dropout + 0.02 * args.seed
with open(args.log, "w") as stream:
    print("epoch,accuracy,loss,val_accuracy,val_loss", file=stream)
    for epoch in range(args.epochs):
        acc = best - 0.1 / (epoch + 1)
        print(f"Epoch {epoch + 1}/{args.epochs}\n4/4 - 0s - 9ms/step - accuracy: {acc:.4f} - loss: 0.5000")
        print(f"{epoch},{acc},{1 - acc},{acc},{1.1 - acc}", file=stream)
print(f"test accuracy {best:.4f}")
