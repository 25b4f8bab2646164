"""A grid of eight short runs, from nothing to a table: `ablate grid run` against a shell loop over a plain script.

    python benchmarks/grid_wall_clock.py --pairs 5

The two are run in turn, A B A B, on the same cores; what is printed is the ratio B/A pair by pair.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
STUDY = """
study: wall-clock
recipe:
  data: {{name: digits, limit: {limit}, split: {{train: 0.8, test: 0.2}}}}
  model: {{arch: resnet18, small_stem: true}}
  optimizer: {{lr: 0.02, momentum: 0.9, weight_decay: 5e-4}}
  batch_size: 32
  epochs: {epochs}
factors:
  refinements:
    subsets:
      c: {{schedule.name: cosine}}
      l: {{loss.label_smoothing: 0.1}}
      m: {{mixup.alpha: 0.2}}
seeds: 1
baseline: {{refinements: none}}
"""
FLAGS = (["--cosine"], ["--smoothing", "0.1"], ["--mixup", "0.2"])


def ablate(limit: int, epochs: int, workers: int) -> float:
    """Seconds of one cold grid, its database and caches new."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.yaml"
        study.write_text(STUDY.format(limit=limit, epochs=epochs))
        environment = {**os.environ, "ABLATE_HOME": f"{folder}/home", "ABLATE_DB": f"{folder}/results.db"}
        command = [sys.executable, "-m", "ablate", "grid", "run", str(study), "--workers", str(workers)]
        return _timed([command], environment)


def shell_loop(limit: int, epochs: int) -> float:
    """Seconds of the same eight trainings as eight processes, one after the other, each with all cores."""
    commands = []
    for size in range(len(FLAGS) + 1):
        for chosen in itertools.combinations(FLAGS, size):
            flags = [word for flag in chosen for word in flag]
            script = [sys.executable, str(HERE / "plain_train.py"), *flags]
            commands.append([*script, "--limit", str(limit), "--epochs", str(epochs)])
    return _timed(commands, dict(os.environ))


def _timed(commands: list[list[str]], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    for command in commands:
        subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    ratios = []
    for pair in range(args.pairs):
        ours = ablate(args.limit, args.epochs, args.workers)
        theirs = shell_loop(args.limit, args.epochs)
        ratios.append(theirs / ours)
        print(f"pair {pair + 1}: ablate {ours:.1f} s, shell loop {theirs:.1f} s, ratio {ratios[-1]:.2f}", flush=True)
    print(f"shell loop / ablate: median {statistics.median(ratios):.2f}, range {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
