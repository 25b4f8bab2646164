"""Print a plan, what went wrong in it, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.cli.common import say
from ablate.project.advice import command
from ablate.project.text import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.analysis.table import Table
    from ablate.project.planning import Plan, PlannedRun
    from ablate.report.declare import Sentence

OF_SCRIPTS = (
    "A script's code is its program, its imports and the files in trainer.watch. If a change makes a different experiment, "
    "raise trainer.version instead: then both results are kept"
)
"""Printed before stale results of a script are replaced or kept."""
TROUBLES = ("failed", "lost", "blocked")
SHOWN_ARMS = 64
SHOWN_REASONS = 3
SHOWN_RUNS = 3
MARKS = {"done": "✓", "queued": "·", "running": "▸", "failed": "✗", "lost": "?", "cancelled": "-", "pruned": "·", "blocked": "!"}  # fmt: skip
LEGEND = {"done": "done", "queued": "to run", "running": "running", "failed": "failed", "lost": "lost", "cancelled": "cancelled", "blocked": "blocked"}  # fmt: skip

_OF_ONE_RUN = re.compile(
    r"(?<![\w.])~?/[^\s:'\"]+|(?<=seed)\W{0,3}\d+|(?<=pid)\W{0,3}\d+|0x[0-9a-fA-F]+|(?<![.\d])\d{4,}(?![.\d])"
)


def counted(plan: Plan, always: Iterable[str] = ("done", "to_run")) -> str:
    """`3 done, 1 failed, 0 to run`."""
    states = ("done", "running", "failed", "lost", "cancelled", "blocked", "to_run")
    shown = [state for state in states if plan.counts[state] or state in always]
    stale = f" ({plan.counts['stale']:,} stale)" if plan.counts["stale"] else ""
    return ", ".join(
        f"{plan.counts[state]:,} {state.replace('_', ' ')}{stale if state == 'done' else ''}" for state in shown
    )


def progress(plan: Plan) -> str:
    """`1 of 4 runs done, 1 running, 2 to run`."""
    done = f"{plan.counts['done']:,}"
    rest = counted(plan, always=("done",)).removeprefix(f"{done} done")
    return f"{done} of {plural(plan.counts['total'], 'run')} done{rest}"


def say_stale(plan: Plan) -> None:
    """What differs between the code that trained runs and the code here, and what to do about it."""
    from ablate.study.code.verified import said  # with pydantic, which `--help` does without

    if stale := [item for item in plan.runs if item.stale]:
        causes = list(dict.fromkeys(item.why for item in stale if item.why))
        shown = "; ".join(causes[:SHOWN_REASONS]) + ("; and others" if len(causes) > SHOWN_REASONS else "")
        say(f"{plural(len(stale), 'run')} stale, trained with different code{': ' if shown else ''}{shown}")
        own = f". {OF_SCRIPTS}" if plan.study.trainer is not None else ""
        say(f"  only --retry stale trains them again{own}")
        if plan.study.trainer is None:
            again = command("runs", "verify", plan.study.file, profile=plan.study.profile, sets=plan.study.sets)
            say(f"  to check whether the current code gives the same numbers: {again}")
    if verified := said((item.verified for item in plan.runs), plan.counts["done"]):
        say(verified)
    if unknown := [item for item in plan.runs if not item.code_known]:
        say(
            f"{plural(len(unknown), 'done run')} may be stale: the script is not in the study's folder "
            f"({Path(plan.study.file).parent.absolute()}), so its code cannot be compared"
        )


def print_plan(plan: Plan, console: Console) -> None:
    """Print a plan, at most 80 columns wide where names allow it."""
    from rich.text import Text

    study, counts = plan.study, plan.counts
    console.print(Text.assemble((study.full_name, "bold"), f"  {Path(study.file)}"), soft_wrap=True)
    if study.about:
        console.print(study.about, markup=False)
    console.print(
        f"\n{plural(counts['arms_before'], 'arm')} by design {study.design}, {counts['excluded']} excluded, "
        f"{counts['merged']} merged; {plural(len(study.seeds), 'seed')}: [bold]{plural(counts['total'], 'run')}[/bold]"
    )
    for rule in study.excluded:
        console.print(f"  excluded {rule.count} by {rule.text}  (line {rule.line})", markup=False)
    for why in dict.fromkeys(arm.why for arm in study.arms if arm.merged_into):
        same = [arm for arm in study.arms if arm.merged_into and arm.why == why]
        console.print(f"  merged {len(same)}, as in {same[0].name} = {same[0].merged_into}: {why}", markup=False)
    if study.baseline:
        console.print(f"  baseline {'/'.join(study.baseline.values())}", markup=False)
    stuck = sum(item.state == "blocked" for item in plan.parents)
    parents = f", {plural(counts['parents'], 'parent run')}" if counts["parents"] else ""
    if stuck:
        parents += f" ({stuck:,} blocked)"
    elif parents and not plan.again and all(item.state == "done" for item in plan.parents):
        parents += " (done)"
    console.print(f"  {counted(plan)}{parents}")
    if study.resources:
        console.print(f"  each run takes {study.resources}")
    if plan.again:
        console.print(f"  {trained_again(len(plan.again))}")
    if plan.seconds:
        console.print(f"  about {duration(plan.seconds)} on one worker, from past runs")
        if plan.untimed:
            console.print(f"  not counting {plural(plan.untimed, 'run')}: no similar run is done yet")
    elif plan.to_run:
        console.print("  no time estimate: no similar run is done yet")
    print_arms(plan, console)
    for warning in study.warnings:
        console.print(f"warning: {warning}", markup=False)


def expected(plan: Plan, seconds: float) -> str:
    """`about 3 min`, or `more than 3 min` where the estimate leaves runs out."""
    return f"{'more than' if plan.untimed else 'about'} {duration(seconds)}"


def trained_again(count: int) -> str:
    """What to say of parents that are done and must be trained once more."""
    return f"{plural(count, 'parent run')} to train again: done, but the weights that other runs start from are gone."


def print_arms(plan: Plan, console: Console) -> None:
    """One line an arm with a mark for each seed, and what the marks mean."""
    marks: dict[str, list[str]] = {}
    labels: dict[str, str] = {}
    for item in plan.runs:
        marks.setdefault(item.run.arm_id, []).append(MARKS[item.state])
        labels[item.run.arm_id] = item.arm + (f"  = {', '.join(item.aliases)}" if item.aliases else "")
    console.print()
    for identity in list(labels)[:SHOWN_ARMS]:
        line = f"  {''.join(marks[identity])[:20]:<6} {labels[identity]}"
        console.print(line, markup=False, overflow="ellipsis", no_wrap=True)
    if len(labels) > SHOWN_ARMS:
        console.print(f"  ... and {len(labels) - SHOWN_ARMS:,} more arms; --json lists every run")
    there = {item.state for item in plan.runs} | {"done", "queued"}
    console.print("  " + "  ".join(f"{MARKS[state]} {said}" for state, said in LEGEND.items() if state in there))


def _kind(reason: str) -> str:
    """A reason without what differs from run to run: paths, seeds, process ids."""
    return _OF_ONE_RUN.sub("…", reason)


def say_troubles(plan: Plan, db: str | None) -> None:
    """Runs that failed, were lost or are blocked, by reason: one line each, and how to see more."""
    groups: dict[tuple[str, str], tuple[str, list[PlannedRun]]] = {}
    ended = {
        item.run.run_id for item in (*plan.parents, *plan.runs) if item.state in TROUBLES and item.state != "blocked"
    }
    for item in plan.runs:
        if item.state in TROUBLES:
            why = (item.cause or item.why).strip()
            reason = why.splitlines()[-1] if why else "no reason was recorded"
            _, items = groups.setdefault((item.state, _kind(reason)), (reason, []))
            items.append(item)
    for (state, _), (reason, items) in list(groups.items())[:SHOWN_REASONS]:
        named = ", ".join(f"{item.arm} seed {item.run.seed}" for item in items[:SHOWN_RUNS])
        more = f" and {len(items) - SHOWN_RUNS:,} more" if len(items) > SHOWN_RUNS else ""
        say(f"{len(items):,} {state} ({named}{more}): {reason}")
        shown = items[0].run.run_id if state != "blocked" else items[0].run.parent
        if state != "blocked" or shown in ended:  # a blocked run has no attempt to look at, its failed parent has
            say(f"  {command('runs', 'show', str(shown)[:12], db=db)}")
    if len(groups) > SHOWN_REASONS:
        rest = sum(len(items) for _, items in list(groups.values())[SHOWN_REASONS:])
        say(
            f"and {plural(rest, 'more run')} for other reasons: {command('runs', 'list', '--study', plan.study.name, db=db)}"
        )


def next_step(plan: Plan, name: str, seeds: str | None = None, db: str | None = None) -> str:
    """What to do next with a study that was named `name`, as one sentence with a command to copy."""
    counts, profile, sets = plan.counts, plan.study.profile, plan.study.sets
    again = command("grid", "run", name, profile=profile, sets=sets, seeds=seeds, db=db)
    left = counts["to_run"] + counts["running"]
    if left:
        return f"{plural(left, 'run')} left: {again}"
    asked = (*plan.runs, *plan.parents) if counts["blocked"] else plan.runs
    ended = [state for state in ("failed", "lost", "cancelled") if any(item.state == state for item in asked)]
    if counts["blocked"] and not ended:
        return f"Once {_waited_for(plan)} in place: {again}"
    if ended == ["cancelled"] and not counts["blocked"]:
        return f"Only cancelled runs are left: {again} --retry all"
    if ended:
        rule = ended[0] if ended in (["failed"], ["lost"]) else "all"
        return f"Once the cause is fixed: {again} --retry {rule}"
    return f"Nothing left to run. The report: {command('report', name, profile=plan.study.scale, sets=sets, db=db)}"


def _waited_for(plan: Plan) -> str:
    """What blocked runs wait for: `the weights are`, `the data is`, `data and weights are`; of a script, what its causes name."""
    causes = [item.cause for item in plan.runs if item.state == "blocked"]
    if plan.study.trainer is not None:
        absent = dict.fromkeys(cause.partition(":")[0].removeprefix("no ") for cause in causes)
        return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'}"
    data, weights = (any(f"no {what}:" in cause for cause in causes) for what in ("data", "weights"))
    return "data and weights are" if data and weights else "the data is" if data else "the weights are"


def print_tables(
    tables: Sequence[Table], console: Console, question: str = "", answer: Sequence[Sentence] = ()
) -> None:
    """Print tables to the terminal, after the question and the answer of a whole study."""
    from ablate.report.terminal import print_answer, print_table

    print_answer(question, answer, console)
    for table in tables:
        print_table(table, console)


def write_out(text: str, out: Path, name: str) -> Path:
    """Write a report into the file `out`, or as `name` into the folder `out`, say where it lies, and give that."""
    from ablate.report.html import write_report

    path = out if out.suffix else out / name
    write_report(path, text)
    say(f"written: {path}{' (open it in a browser)' if path.suffix == '.html' else ''}")
    return path
