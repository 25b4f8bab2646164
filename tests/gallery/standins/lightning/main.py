"""What `LightningCLI(Model)` with its CSV logger leaves: lightning_logs/version_0/metrics.csv, rows of two kinds."""

import math
import pathlib
import sys

import yaml

assert sys.argv[1:3] == ["fit", "--config"], sys.argv
config = yaml.safe_load(pathlib.Path(sys.argv[3]).read_text())
log = pathlib.Path(config["trainer"]["logger"]["init_args"]["save_dir"], "lightning_logs", "version_0")
log.mkdir(parents=True)
model = config["model"]

best = 0.9 - 0.2 * abs(math.log10(model["lr"] / 0.03)) + 0.05 * (model["hidden"] > 8) + 0.02 * config["seed_everything"]
with open(log / "metrics.csv", "w") as stream:
    print("epoch,step,train_loss,val_acc", file=stream)
    for epoch in range(config["trainer"]["max_epochs"]):
        print(f"{epoch},{10 * epoch + 9},,{best - 0.1 / (epoch + 1)}", file=stream)
        print(f"{epoch},{10 * epoch + 9},{1 - best},", file=stream)
print("`Trainer.fit` stopped: `max_epochs` reached.")
