"""A tuning as Markdown, text, CSV and JSON."""

from __future__ import annotations

import json
from typing import Any

from ablate.report.json import finite
from ablate.report.markdown import escape
from ablate.report.spreadsheet import Value, csv_text
from ablate.study.values.digits import brief
from ablate.study.values.study import full_name
from ablate.study.values.trials import Trial, TunedArm, TuningResult

ENDED = ("complete", "pruned", "failed")


def document(result: TuningResult) -> dict[str, Any]:
    """JSON-ready: every trial that has ended, and each arm's best."""
    return {
        "schema": 1,
        "study": result.study,
        "set": list(result.sets),
        "arms": [_arm(arm) for arm in result.arms],
    }


def _arm(arm: TunedArm) -> dict[str, Any]:
    best = arm.best
    return {
        "arm": arm.arm,
        "trials": [
            {
                "number": trial.number,
                "params": dict(trial.params),
                "state": trial.state,
                "value": finite(trial.value),
                "epochs": trial.epochs,
                "run_ids": list(trial.run_ids),
            }
            for trial in ended(arm)
        ],
        "best": None
        if best is None
        else {"number": best.number, "params": dict(best.params), "value": finite(best.value)},
    }


def ended(arm: TunedArm) -> list[Trial]:
    return [trial for trial in arm.trials if trial.state in ENDED]


def json_text(result: TuningResult) -> str:
    return json.dumps(document(result), allow_nan=False, indent=1, ensure_ascii=False) + "\n"


def csv(result: TuningResult) -> str:
    """One row a trial; fields that an arm does not sample are empty."""
    paths = list(dict.fromkeys(dimension.path for arm in result.arms for dimension in arm.space))
    rows: list[list[Value]] = [["arm", "number", "state", result.metric, "epochs", "seconds", *paths, "run_ids"]]
    for arm in result.arms:
        for trial in ended(arm):
            params = [_param(trial.params.get(path)) for path in paths]
            row = [arm.arm, trial.number, trial.state, trial.value, trial.epochs, round(trial.seconds, 3), *params]
            rows.append([*row, " ".join(trial.run_ids)])
    return csv_text(rows)


def _param(value: object) -> Value:
    return (
        value if isinstance(value, int | float) and not isinstance(value, bool) else "" if value is None else str(value)
    )


def markdown(result: TuningResult, best: str, most: int = 10) -> str:
    """For each arm its best trials, what they hang on, and the best recipes as a study file."""
    scale = f", profile {result.profile}" if result.profile else ""
    lines = [f"## Tuning of {escape(full_name(result.study, None, result.sets))}{escape(scale)}", ""]
    lines += [f"{budget_line(result)}\n\n{CAUTION}", ""]
    lines += [f"> {escape(warning)}\n" for warning in result.warnings]
    for arm in result.arms:
        lines += _arm_lines(result, arm, most)
    if best:
        lines += ["### Each arm at its best", "", "```yaml", best.rstrip("\n"), "```", ""]
    return "\n".join(lines)


def text(result: TuningResult, best: str, most: int = 10) -> str:
    """The same for a terminal: a line a trial, its values by name."""
    lines = [budget_line(result), CAUTION, *(f"warning: {warning}" for warning in result.warnings)]
    for arm in result.arms:
        trials = ranked(ended(arm), result.better)
        lines += ["", f"{arm.arm}: {cost_line(arm)}"]
        for trial in trials[:most]:
            params = ", ".join(f"{path} {shown(value)}" for path, value in trial.params.items())
            lines.append(f"  {trial.number:>3}  {value_text(trial):>8}  {trial.state:<8}  {params}")
        lines += [f"  {len(trials) - most} more were no better."] * (len(trials) > most)
    return "\n".join([*lines, "", best]) if best else "\n".join(lines)


CAUTION = "The best of many is biased upwards: it was picked for being high."


def budget_line(result: TuningResult) -> str:
    return f"Each arm may spend {result.budget}: {result.sampler}, pruner {result.pruner}, by {result.metric}."


def _arm_lines(result: TuningResult, arm: TunedArm, most: int) -> list[str]:
    trials = ended(arm)
    lines = [f"### {escape(arm.arm)}", "", cost_line(arm), ""]
    if not trials:
        return lines
    paths = [dimension.path for dimension in arm.space]
    lines += [
        f"| trial | {' | '.join(map(escape, paths))} | {result.metric} | epochs | state |",
        "|" + "---|" * (len(paths) + 4),
    ]
    for trial in ranked(trials, result.better)[:most]:
        number = (
            f"**{trial.number}**" if arm.best is not None and trial.number == arm.best.number else str(trial.number)
        )
        params = [escape(shown(trial.params[path])) for path in paths]
        lines.append(f"| {number} | {' | '.join(params)} | {value_text(trial)} | {trial.epochs} | {trial.state} |")
    if len(trials) > most:
        lines.append(f"\n{len(trials) - most} more trials were no better.")
    if arm.importance:
        shares = ", ".join(f"{path} {share:.2f}" for path, share in arm.importance.items())
        lines.append(f"\nShare of the spread (fANOVA): {escape(shares)}.")
    return [*lines, ""]


def cost_line(arm: TunedArm) -> str:
    """`30 trials: 24 complete, 6 pruned; 250 epochs, 81 s of training.`"""
    states = [trial.state for trial in arm.trials]
    counted = ", ".join(
        f"{states.count(s)} {'open' if s == 'running' else s}" for s in (*ENDED, "running") if s in states
    )
    if not states:
        return "No trials yet."
    seconds = sum(trial.seconds for trial in arm.trials)
    noun = "trial" if len(states) == 1 else "trials"
    return (
        f"{len(states)} {noun}: {counted}; {sum(t.epochs for t in arm.trials):,} epochs, {seconds:,.0f} s of training."
    )


def ranked(trials: list[Trial], better: str) -> list[Trial]:
    """Complete ones first, the best on top; pruned and failed ones after them."""
    sign = -1.0 if better == "higher" else 1.0

    def key(trial: Trial) -> tuple[int, float]:
        return ENDED.index(trial.state), 0.0 if trial.value is None else sign * trial.value

    return sorted(trials, key=key)


def value_text(trial: Trial) -> str:
    return brief(trial.value)


def shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
