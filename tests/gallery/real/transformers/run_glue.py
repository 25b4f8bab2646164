"""Hugging Face's Trainer with a network of its own kind, on scikit-learn's digits; called as the run_*.py examples are."""

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from transformers import HfArgumentParser, Trainer, TrainingArguments, set_seed


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(64, 10)

    def forward(self, pixels, labels):
        logits = self.net(pixels)
        return {"loss": cross_entropy(logits, labels), "logits": logits}


(args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()
set_seed(args.seed)
digits = load_digits()
rows = [
    {"pixels": torch.tensor(x, dtype=torch.float32) / 16, "labels": int(y)}
    for x, y in zip(digits.data, digits.target, strict=True)
]
trainer = Trainer(
    model=Net(),
    args=args,
    train_dataset=rows[:1000],
    eval_dataset=rows[1000:],
    compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
)
if args.do_train:
    trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_state()
