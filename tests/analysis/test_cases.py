"""Whole study files whose tables once decided what they should not have: survivors, two pools, aliased effects, points."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from golden_texts import raising, worded

from ablate.analysis import build_table
from ablate.analysis.claims import p_text
from ablate.analysis.table import Cell, Table
from ablate.errors import StudyError
from ablate.study.loader import load_text
from ablate.study.records import AttemptResult, RunResult
from ablate.study.values.study import Study

SURVIVOR = r"""
study: survivor
recipe: {arm: a, b: off}
trainer:
  command: python noise.py {arm} {b} {seed}
  metrics: {acc: {better: higher, pattern: 'acc (\S+)'}}
factors:
  arm: {path: arm, levels: [a, c]}
  b: {path: b, levels: [off, on]}
seeds: 10
baseline: {arm: a, b: off}
tables:
  t: {rows: [arm, b], columns: [acc], claims: [a/on > a/off]}
  e: {rows: effect, columns: [acc]}
"""
CLAIMPOOL = """
study: claimpool
recipe: {net: small, tw: a}
trainer: {command: "python toy.py {net} {tw} {seed}"}
factors:
  net: {path: net, levels: [small, big]}
  tw: {path: tw, levels: [a, b, c, d]}
seeds: 3
baseline: {tw: a}
tables:
  t: {rows: [net, tw], columns: [top1], claims: [small/b > small/a, big/c > big/a, small/b > big/b]}
  small: {rows: tw, where: {net: small}, columns: [top1], claims: [b > a]}
  big: {rows: tw, where: {net: big}, columns: [top1], claims: [c > a]}
"""
ALIASED = r"""
study: frac
recipe: {a: "off", b: "off", c: "off", lr: 3}
trainer:
  command: python toy.py {a} {b} {c} {lr} {seed}
  metrics: {acc: {better: higher, pattern: "acc (\\S+)"}}
seeds: 3
factors:
  a: {path: a, levels: ["off", "on"]}
  b: {path: b, levels: ["off", "on"]}
  c: {path: c, levels: ["off", "on"]}
exclude:
  - {a: "off", b: "off", c: "on"}
  - {a: "off", b: "on", c: "off"}
  - {a: "on", b: "off", c: "off"}
  - {a: "on", b: "on", c: "on"}
baseline: {a: "off", b: "off", c: "off"}
tables:
  e: {rows: effect, columns: [acc]}
"""

Value = Callable[[dict[str, str], int], float]


def trained(study: Study, metric: str, value: Value) -> dict[str, RunResult]:
    """Every run done with its value; one whose value is NaN has diverged."""
    results = {}
    levels = {arm.arm_id: dict(arm.levels) for arm in reversed(study.arms)}
    for run in study.runs:
        number = value(levels[run.arm_id], run.seed)
        attempt = AttemptResult(1, "done", "w", 0.0, 1.0, None, {}, "cpu-fp32")
        done = RunResult(run=run, state="done", metrics={metric: number}, attempts=(attempt,), reported_split="test")
        lost = replace(done, state="failed", metrics={}, error="diverged: acc is not finite")
        results[run.run_id] = done if number == number else lost
    return results


def cells(table: Table, column: str) -> dict[str, Cell]:
    return {row.name: row.cells[column] for row in table.rows}


def unlucky(levels: dict[str, str], seed: int) -> float:
    """Nothing has an effect; the unlucky runs of `on` diverge."""
    value = 0.8 + random.Random(f"{levels['arm']}-{levels['b']}-{seed}-7").gauss(0, 0.02)
    return float("nan") if levels["b"] == "on" and value < 0.805 else value


def test_survivors_decide_nothing() -> None:
    study = load_text(SURVIVOR, "s.yaml")
    results = trained(study, "acc", unlucky)
    assert sum(result.state == "failed" for result in results.values()) == 13
    effects = cells(build_table(study, study.tables["e"], results), "acc")
    assert effects["b=on"].delta == pytest.approx(0.025, abs=0.0005)
    assert effects["b=on"].n == 27
    for cell in effects.values():
        assert (cell.p_adjusted, cell.delta_ci95, cell.decided) == (None, None, False)
        assert "of 10 runs" in cell.note
    rows = build_table(study, study.tables["t"], results)
    assert not any(cell.decided for cell in cells(rows, "acc").values())
    assert [claim.verdict for claim in rows.claims] == ["undecided"]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_missing_runs_of_a_level_decide_nothing(share: float, shift: float) -> None:
    """The lowest runs of `on` diverge, whether there is an effect or not: nothing of the model is decided."""
    study = load_text(SURVIVOR, "s.yaml")
    for trial in range(5):

        def value(levels: dict[str, str], seed: int, trial: int = trial) -> float:
            return shift * (levels["b"] == "on") + random.Random(f"{levels}{seed}{trial}").gauss(0, 0.02)

        results = trained(study, "acc", value)
        arms = {arm.arm_id for arm in study.arms if arm.levels["b"] == "on"}
        on = sorted((r for r in results.values() if r.run.arm_id in arms), key=lambda r: r.metrics["acc"])
        for result in on[: int(share * len(on))]:
            results[result.run.run_id] = replace(result, state="failed", metrics={}, error="diverged")
        for cell in cells(build_table(study, study.tables["e"], results), "acc").values():
            assert cell.delta is not None
            assert (cell.p_adjusted, cell.delta_ci95, cell.decided) == (None, None, False)


def two_spreads(levels: dict[str, str], seed: int) -> float:
    net, tw = levels["net"], levels["tw"]
    noise = random.Random(f"{net}{tw}{seed}").gauss(0, 0.036 if net == "big" else 0.010)
    return 0.3 + 0.04 * (net == "small" and tw == "b") + 0.07 * (net == "big" and tw == "c") + noise


@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
def test_a_claim_has_the_variance_of_its_row(test: str) -> None:
    """The same six runs: the claim's p is the row's before its adjustment, in the table of both networks and of one."""
    text = CLAIMPOOL.replace("columns: [top1],", f"columns: [top1], test: {test},")
    study = load_text(text, "cp.yaml")
    results = trained(study, "top1", two_spreads)
    tables = {name: build_table(study, spec, results) for name, spec in study.tables.items()}
    whys = [claim.why for claim in tables["t"].claims]
    assert whys[0].partition(" = ")[2] == tables["small"].claims[0].why.partition(" = ")[2]
    assert whys[1].partition(" = ")[2] == tables["big"].claims[0].why.partition(" = ")[2]
    for row, why in (("small/b", whys[0]), ("big/c", whys[1])):
        cell = cells(tables["t"], "top1")[row]
        assert cell.p_adjusted is not None
        if test == "moderated":
            assert why.endswith(f"({p_text(cell.p_adjusted / 3)})")
    both = [note for note in tables["t"].notes if "A claim is a family of its own" in note]
    assert len(both) == 1


def test_a_contrast_over_two_families_takes_the_variance_of_each() -> None:
    import numpy as np
    from scipy import stats

    from ablate.analysis.values import Sample
    from ablate.analysis.variance import rule_of

    results = trained(study := load_text(CLAIMPOOL, "cp.yaml"), "top1", two_spreads)
    values: dict[str, list[float]] = {}
    for run in study.runs:
        arm = next(arm for arm in study.arms if arm.arm_id == run.arm_id)
        values.setdefault(arm.name, []).append(results[run.run_id].metrics["top1"])
    judged = {}
    for net in ("small", "big"):
        family = [Sample(name, name, tuple(v), 3) for name, v in values.items() if name.startswith(net)]
        rule = rule_of(family, "moderated")
        assert rule is not None
        judged[net] = rule.of(next(sample for sample in family if sample.name == f"{net}/b"))
    delta = np.mean(values["small/b"]) - np.mean(values["big/b"])
    error = np.sqrt(judged["small"][0] / 3 + judged["big"][0] / 3)
    p = 2 * stats.t.sf(abs(delta) / error, min(judged["small"][1], judged["big"][1]))
    why = build_table(study, study.tables["t"], results).claims[2].why
    assert why == f"small/b - big/b = {delta:+.3g} ({p_text(float(p))})"
    pooled_text = CLAIMPOOL.replace("columns: [top1],", "columns: [top1], test: dunnett,")
    pooled = build_table(study := load_text(pooled_text, "cp.yaml"), study.tables["t"], results)
    variance = np.mean([np.var(v, ddof=1) for v in values.values()])
    p = 2 * stats.t.sf(abs(delta) / np.sqrt(2 * variance / 3), 16)
    assert pooled.claims[2].why == f"small/b - big/b = {delta:+.3g} ({p_text(float(p))})"
    assert any("The spreads differ" in note for note in pooled.notes)


def test_an_aliased_effect_is_named_as_the_sum_that_it_is() -> None:
    """c itself does nothing; what its row shows is a × b with its sign turned."""

    def value(levels: dict[str, str], seed: int) -> float:
        a, b, c = (levels[name] == "on" for name in "abc")
        noise = random.Random("-".join([levels["a"], levels["b"], levels["c"], "3", str(seed)])).gauss(0, 0.01)
        return 0.7 + 0.05 * a + 0.03 * b + 0.0 * c + 0.02 * a * b + noise

    study = load_text(ALIASED, "frac.yaml")
    table = build_table(study, study.tables["e"], trained(study, "acc", value))
    names = ["a=on - b=on × c=on", "b=on - a=on × c=on", "c=on - a=on × b=on"]
    assert [row.name for row in table.rows] == names
    worded(table.notes, f"{'; '.join(names)}")
    assert not any("taken as zero" in note for note in table.notes)
    for cell in cells(table, "acc").values():
        low, high = cell.delta_ci95 or (0.0, 0.0)
        assert cell.decided == (not low <= 0 <= high)


@pytest.mark.parametrize(("by", "verdict"), [("5", "holds"), ("5%", "holds"), ("14", "contradicted")])
def test_by_is_in_the_points_that_the_table_prints(by: str, verdict: str) -> None:
    text = f"""
study: percent
recipe: {{tw: a}}
trainer: {{command: "python toy.py {{tw}} {{seed}}"}}
factors: {{tw: {{path: tw, levels: [a, b]}}}}
seeds: 5
baseline: {{tw: a}}
tables:
  t: {{rows: tw, columns: [top1], reported: {{a: 70.10%, b: 79.90%}}, claims: [b > a by {by}]}}
"""
    study = load_text(text, "p.yaml")
    results = trained(study, "top1", lambda levels, seed: 0.7 + 0.0973 * (levels["tw"] == "b") + 0.001 * (seed % 3 - 1))
    table = build_table(study, study.tables["t"], results)
    (claim,) = table.claims
    margin = by.rstrip("%")
    assert claim.verdict == verdict
    assert claim.why.startswith(f"b - a - {margin}% = {9.73 - float(margin):+.3g}%")
    plain = load_text(
        text.replace("70.10%", "0.7010").replace("79.90%", "0.7990").replace(f"by {by}", "by 0.05"), "p.yaml"
    )
    (claim,) = build_table(plain, plain.tables["t"], results).claims
    assert (claim.verdict, claim.why.partition(" (")[0]) == ("holds", "b - a - 0.05 = +0.0473")


def test_by_must_be_a_number() -> None:
    text = CLAIMPOOL.replace("[b > a]", "[b > a by five]")
    with raising(StudyError):
        load_text(text, "cp.yaml")


def test_best_of_rows_of_which_one_is_the_same_run(maker: Any, factor: Any, claim: Any) -> None:
    """A tie with oneself is no rival: the others decide. More runs would not tell a run from itself."""
    from ablate.analysis.claims import judge
    from ablate.analysis.values import Replicates

    values = {"A": [0.8, 0.81, 0.79], "B": [], "C": [0.6, 0.61, 0.62]}
    made = maker([factor("tweak", *"ABC")], values, merged={"B": "A"}, baseline={"tweak": "C"})
    a, b, c = ((name, {"tweak": name}) for name in "ABC")
    claims = (claim("best", a, b, c), claim("worst", c, a, b), claim("best", c, a, b), claim("best", a, b))
    found = judge(made.study, made.spec(claims=claims), Replicates(made.study, made.results))
    assert [result.verdict for result in found] == ["holds", "holds", "contradicted", "not testable"]
    worded(found[0].why, "A - C = +0.19", "(p < 0.001", "A - B")


def test_a_row_decided_beside_zero_is_told(maker: Any, factor: Any) -> None:
    """Holm decides the second difference at 0.05, its Bonferroni interval is at 0.025."""
    values = {"A": [0.0, 0.1, 0.2], "B": [0.9, 1.0, 1.1], "C": [0.27, 0.36, 0.48]}
    made = maker([factor("tweak", *"ABC")], values, baseline={"tweak": "A"})
    told = "1 difference is decided beside an interval that holds zero"
    holm = build_table(made.study, made.spec(test="welch-holm"), made.results)
    cell = cells(holm, "top1")["C"]
    assert cell.delta_ci95 is not None
    assert cell.decided
    assert cell.delta_ci95[0] < 0
    assert any(note.startswith(told) for note in holm.notes)
    assert not any(told in note for note in build_table(made.study, made.spec(), made.results).notes)
