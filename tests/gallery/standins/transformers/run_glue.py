"""What Hugging Face's Trainer leaves: dictionaries on stdout, checkpoint-N/ and trainer_state.json with its log_history."""

import argparse
import json
import math
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--do_train", action="store_true")
parser.add_argument("--do_eval", action="store_true")
parser.add_argument("--eval_strategy", default="no")
parser.add_argument("--learning_rate", type=float, default=5e-5)
parser.add_argument("--warmup_steps", type=int, default=0)
parser.add_argument("--num_train_epochs", type=float, default=3.0)
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--output_dir", type=pathlib.Path, required=True)
parser.add_argument("--resume_from_checkpoint")
args = parser.parse_args()

best = 0.9 - 0.2 * abs(math.log10(args.learning_rate / 3e-4)) + 0.05 * (args.warmup_steps > 0) + 0.02 * args.seed
history = []
for epoch in range(1, int(args.num_train_epochs) + 1):
    for row in (
        {"loss": 1 - best, "grad_norm": 1.25, "learning_rate": args.learning_rate},
        {"eval_loss": 1.1 - best, "eval_accuracy": best - 0.1 / epoch, "eval_runtime": 0.02},
    ):
        print({name: f"{value:.4g}" for name, value in {**row, "epoch": epoch}.items()})
        history.append({**row, "epoch": float(epoch), "step": 20 * epoch})
    (args.output_dir / f"checkpoint-{20 * epoch}").mkdir(parents=True, exist_ok=True)
state = {"best_metric": None, "epoch": args.num_train_epochs, "global_step": 20 * epoch, "log_history": history}
(args.output_dir / "trainer_state.json").write_text(json.dumps(state, indent=2))
