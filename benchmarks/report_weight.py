"""What a large study's report weighs: bytes of the page, seconds and memory to make it, and how long a browser takes.

    python benchmarks/report_weight.py                          # 48, 168 and 1,000 arms, three seeds, curves of ten epochs
    python benchmarks/report_weight.py --arms 3375 --metrics 10  # 10,125 runs with 1,012,500 metric rows
    python benchmarks/report_weight.py --than ../before          # each beside the code of that folder, in turn

A database is filled with drawn numbers through the store, as workers fill it; then `ablate report` runs on it as a process of its own, so
that seconds are those of a user, imports included, and the memory is the peak of that process alone. With Chromium the page is opened
as well, and its own script times what a reader does.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import Choices, load
from ablate.study.records import EpochRecord, Outcome

HERE = Path(__file__).resolve().parent
STUDY = """
study: weight
about: Which of many settings are worth their place?
recipe:
  data: {{name: digits, split: {{train: 0.8, test: 0.2}}}}
  model: {{arch: resnet18, small_stem: true}}
  optimizer: {{name: sgd, momentum: 0.9}}
  epochs: {epochs}
factors:
  lr: {{path: optimizer.lr, levels: {lr}}}
  decay: {{path: optimizer.weight_decay, levels: {decay}}}
  batch: {{path: batch_size, levels: {batch}}}
seeds: 3
baseline: {{lr: {first_lr}, decay: {first_decay}, batch: {first_batch}}}
tables:
  scores: {{rows: [lr, decay, batch], columns: [top1, top5, loss]}}
  effects: {{rows: effect, columns: [top1]}}
"""


def sides(arms: int) -> tuple[int, int, int]:
    """Three numbers of levels whose product is the number of arms, as near each other as they come."""
    found = [
        (a, b, arms // (a * b))
        for a in range(1, round(arms ** (1 / 3)) + 2)
        for b in range(a, math.isqrt(arms // a) + 1)
        if arms % (a * b) == 0
    ]
    return min(found, key=max)


def fill(folder: Path, arms: int, epochs: int, metrics: int) -> Path:
    """The study's file, with a database beside it in which all of its runs are done."""
    few, some, many = sides(arms)
    levels = {
        "lr": [round(0.01 * (1 + place), 4) for place in range(many)],
        "decay": [round(1e-4 * (1 + place), 6) for place in range(some)],
        "batch": [8 * (1 + place) for place in range(few)],
    }
    firsts = {f"first_{name}": found[0] for name, found in levels.items()}
    path = folder / "weight.yaml"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(STUDY.format(epochs=epochs, **levels, **firsts), encoding="utf-8")
    study = load(path, Choices())
    assert len(study.arms) == arms
    place = {arm.arm_id: number for number, arm in enumerate(study.arms)}
    draw = random.Random(arms)
    with Store.open(f"sqlite:///{folder / 'results.db'}") as store:
        request = store.save_study(study, call_options={"seeds": list(study.seeds)})
        worker = WorkerInfo.here(device="cpu")
        while claim := store.claim(request, worker):
            last = 0.6 + 0.3 * place[claim.run.arm_id] / arms + draw.gauss(0, 0.01)
            told = {"device": "a CPU", "threads": 2, "python": "3.12", "packages": {"torch": "2.14"}}
            store.set_environment(claim, told, "fingerprint")
            store.record_epoch(
                claim, [one for epoch in range(1, epochs + 1) for one in course(last, epoch, metrics, draw)]
            )
            store.finish(claim, Outcome(scores(last, 1.0, draw), "test"), 60 + draw.random())
    return path


def course(last: float, epoch: int, metrics: int, draw: random.Random) -> list[EpochRecord]:
    """An epoch on two splits; `metrics` in all, the four that a page draws first."""
    test, train = scores(last, epoch, draw), {"top1": last, "loss": 1.2 - last + draw.gauss(0, 0.01)}
    test |= {f"own_{number}": draw.random() for number in range(metrics - len(test) - len(train))}
    return [EpochRecord(epoch, "test", test), EpochRecord(epoch, "train", train)]


def scores(last: float, epoch: float, draw: random.Random) -> dict[str, float]:
    top1 = last - 0.2 / epoch + draw.gauss(0, 0.01)
    return {"top1": top1, "top5": min(1.0, top1 + 0.1), "loss": 1.3 - top1}


def report(study: Path, code: Path) -> tuple[float, float, float, float]:
    """(bytes of the page, seconds, seconds of a processor, MB at the peak) of the report that the code in a folder makes."""
    out = study.with_name(f"{code.name}.html")
    command = [sys.executable, "-m", "ablate", "report", study.name, "--db", "results.db", "--out", str(out)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(code),
        "OMP_NUM_THREADS": "1",
        "ABLATE_HOME": str(study.parent / "home"),
    }
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=study.parent, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return out.stat().st_size, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def looked_at(page: Path) -> str:
    """What a browser took for the page; empty without Chromium."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from browser import CHROMIUM, browser

    if CHROMIUM is None:
        return ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browser(Path(profile)) as one:
        one.open(page)
        first = one.eval("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        ready = one.eval("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        one.until(
            "[...document.querySelectorAll('.plot')].every((plot) => "
            "plot.getBoundingClientRect().top > innerHeight || !plot.checkVisibility() || plot.querySelector('svg.main-svg'))"
        )
        figure = one.eval("performance.now()")
        acts = one.eval(ACTS)
    told = ", ".join(f"{name} {took:.0f} ms" for name, took in acts.items())
    return (
        f"first paint {first or 0:.0f} ms, ready {ready:.0f} ms, figures of the first screen by {figure:.0f} ms; {told}"
    )


ACTS = """(async () => {
  const table = document.querySelector("table.cells[data-name=scores]") ?? document.querySelector("table.cells");
  const took = {};
  const timed = async (name, act) => { // scripts, styles and layout; when the next frame comes is the machine's affair
    await new Promise((resolve) => setTimeout(resolve, 100));
    const began = performance.now();
    act();
    document.body.getBoundingClientRect();
    took[name] = performance.now() - began;
  };
  table.scrollIntoView();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await timed("sort", () => table.querySelector("thead tr:last-child th button").click());
  await timed("sort back", () => table.querySelector("thead tr:last-child th button").click());
  const search = table.closest("section").querySelector(".tools input");
  if (search) {
    const words = (text) => { search.value = text; search.dispatchEvent(new Event("input")); };
    await timed("search", () => words("0.02"));
    await timed("search cleared", () => words(""));
    const choice = table.closest("section").querySelector(".tools select");
    const choose = (value) => { choice.value = value; choice.dispatchEvent(new Event("change")); };
    if (choice) await timed("filter", () => choose(choice.options[1].value));
    if (choice) await timed("filter cleared", () => choose(""));
  }
  const cell = table.querySelector("td[data-runs]");
  if (cell) {
    await timed("drawer", () => cell.click());
    await timed("drawer closed", () => document.getElementById("drawer").close());
  }
  return took;
})()"""


def _range(values: Iterable[float]) -> str:
    found = list(values)
    return f"{min(found):.2f} to {max(found):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, nargs="+", default=[48, 168, 1000])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--metrics", type=int, default=5, help="numbers of an epoch")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument(
        "--keep", type=Path, help="where databases and pages stay; one that is there is not filled again"
    )
    parser.add_argument("--than", type=Path, help="a folder with other code, measured in turn with ours")
    chosen = parser.parse_args()
    codes = [HERE.parent, *([chosen.than.resolve()] if chosen.than else [])]
    for arms in chosen.arms:
        with tempfile.TemporaryDirectory() as temporary:
            folder = chosen.keep / f"{arms}-{chosen.epochs}-{chosen.metrics}" if chosen.keep else Path(temporary)
            study = fill(folder, arms, chosen.epochs, chosen.metrics)
            found = [[report(study, code) for code in codes] for _ in range(chosen.times)]
            for place, code in enumerate(codes):
                size, seconds, own, memory = (statistics.median(one[place][part] for one in found) for part in range(4))
                print(
                    f"{arms} arms, {code.name}: {size / 1e6:.2f} MB, {seconds:.1f} s, {own:.1f} s of a processor "
                    f"({_range(one[place][2] for one in found)}), {memory:.0f} MB of memory"
                )
                if looks := looked_at(study.with_name(f"{code.name}.html")):
                    print(f"  in Chromium: {looks}")
            if chosen.than:
                ratios = [other[2] / ours[2] for ours, other in found]
                print(f"  {codes[1].name} takes {statistics.median(ratios):.2f} times as much of it ({_range(ratios)})")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
