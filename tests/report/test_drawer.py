"""The drawer behind a cell: what it holds, what it never tells, and that a browser opens it by mouse, keyboard and address."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablate.analysis.table import Table
from ablate.report.declare import StudyReport
from ablate.report.drawer import drawer, private
from ablate.report.html import render_html
from ablate.report.packing import LEVELS, pack, ranges
from ablate.study.records import AttemptResult, Confusion, RunResult
from ablate.study.values.run import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_a_run_stands_with_its_numbers_attempts_and_places(table1: Table, runs: tuple[RunResult, ...]) -> None:
    found = drawer([table1], runs, "ablate runs verify lee2024.yaml")
    first, second, third = found["runs"]
    assert (first["id"], first["seed"], first["state"], first["time"]) == (
        runs[0].run.run_id[:20],
        0,
        "done",
        "12 min 05 s",
    )
    assert first["metrics"] == [["top1", "0.67"]]
    assert found["arms"][first["arm"]]["places"] == ["table1: A"]
    assert second["attempts"][1] == [2, "failed", "1 min 00 s", "diverged at epoch 3 <b>loss</b>"]
    assert (third["attempts"], third["curve"], found["metric"]) == ([], None, "top1")


def test_an_arm_is_shown_by_what_differs_from_its_tables_baseline(table1: Table, runs: tuple[RunResult, ...]) -> None:
    ids = {row.name: row.cells["top1"].run_ids[0] for row in table1.rows if row.cells["top1"].run_ids}
    recipes = {
        "A": {"optimizer": {"lr": 0.1}, "epochs": 2},
        "B": {"optimizer": {"lr": 0.2}, "epochs": 2, "keep": "last"},
    }
    made = [RunResult(Run(ids[name], name * 64, 0, recipe), "done") for name, recipe in recipes.items()]
    found = drawer(
        [replace(table1, rows=tuple(replace(row, is_baseline=row.name == "A") for row in table1.rows))], made
    )
    assert found["arms"][0]["differs"] == []
    assert found["arms"][1]["differs"] == [["optimizer.lr", "0.1", "0.2"], ["keep", "—", "last"]]
    assert found["recipes"] == [[["optimizer.lr", "0.1"], ["epochs", "2"]]]  # once, for both


def test_nothing_of_a_machine_or_a_secret_leaves_the_database(table1: Table, runs: tuple[RunResult, ...]) -> None:
    told = {
        "host": "ada-laptop", "pid": 7, "user": "ada", "device": "cpu", "python": "3.12", "packages": {"torch": "2.11"},
        "env": {"HF_TOKEN": "hf_secret"}, "options": {"home": "/home/ada/ablate"}, "commit": "0123456789abcdef",
    }  # fmt: skip
    error = "/home/ada/data/x.npz is missing\nTOKEN=hf_secret"
    attempt = AttemptResult(1, "failed", "ada-laptop:7", 0.0, 1.0, error, told, "f")
    bad = replace(runs[0], state="failed", attempts=(attempt,), error=error)
    text = render_html(StudyReport(tables=[table1], runs=[bad]), plotlyjs="shared")
    assert not re.search("ada|hf_secret|/home", text)
    found = drawer([table1], [bad])
    assert found["runs"][0]["attempts"][0][3] == "~/data/x.npz is missing"
    assert found["environments"] == [
        [["device", "cpu"], ["python", "3.12"], ["torch", "2.11"], ["commit", "0123456789ab"]]
    ]


def test_details_are_there_when_asked_for(table1: Table, runs: tuple[RunResult, ...]) -> None:
    few = tuple(
        tuple(9 if at == true else 3 - at if true == 4 and at < 3 else 0 for at in range(30)) for true in range(30)
    )
    wide = Confusion("test", "last", tuple(map(str, range(30))), few)
    run = replace(
        runs[0],
        epochs={1: {"top1": 0.5, "loss": 2.0}, 2: {"top1": 0.6, "loss": 1.0}},
        confusions=(Confusion("test", "last", ("cat", "dog"), ((3, 1), (0, 4))), wide),
    )
    assert "details" not in drawer([table1], [run])["runs"][0]
    (row,) = drawer([table1], [run], logs={run.run.run_id: "epoch 2\nsaved /home/ada/x.pt"})["runs"]
    assert row["details"] == {
        "log": "epoch 2\nsaved ~/x.pt",
        "curves": [["loss", pack([2.0, 1.0])]],
        "matrices": [{"split": "test", "classes": ["cat", "dog"], "counts": ((3, 1), (0, 4))}],
        "mistakes": [
            {
                "split": "test",
                "classes": 30,
                "pairs": [["4", "0", 3, "20%"], ["4", "1", 2, "13%"], ["4", "2", 1, "7%"]],
                "kinds": 3,
                "images": 6,
            }
        ],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/root/x and /rooted/y", "~/x and /rooted/y"),
        ("at '/Users/Ada B/x'", "at '~ B/x'"),
        (r"C:\\Users\\ada\\x.py", r"C:\\Users\\ada\\x.py"),
        ("C:\\Users\\ada\\x.py", "~\\x.py"),
        ("/srv/data/x", "/srv/data/x"),
    ],
)
def test_home_folders_are_a_tilde(text: str, told: str) -> None:
    assert private(text) == told


def test_a_packed_curve_is_read_to_a_thousandth_of_its_range() -> None:
    values = [0.1, None, 0.5, float("nan"), 0.30001]
    low, high, packed = pack(values) or []
    codes = struct.unpack("<5H", base64.b64decode(packed))
    read = [None if code > LEVELS else low + (high - low) * code / LEVELS for code in codes]
    assert [value is None for value in read] == [False, True, False, True, False]
    assert [read[0], read[2]] == [0.1, 0.5]
    assert read[4] == pytest.approx(0.30001, abs=1e-5)
    assert pack([]) is pack([None]) is None
    assert (pack([0.5, 0.5]) or [])[:2] == [0.5, 0.5]


def test_places_are_written_as_ranges() -> None:
    assert ranges([0, 1, 2, 3, 7, 9, 10]) == "0-3 7 9-10"
    assert ranges([5, 4]) == "5 4"
    assert ranges([]) == ""


# In a browser ---------------------------------------------------------------------------------------------------------


def _in_a_browser(page: str, script: str, folder: Path, width: int = 1280) -> dict[str, Any]:
    """What `script`, run in the loaded page, returns; a message on the console is an error."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    run = f"(async () => {{ {script} }})().then((found) => {{ document.title = JSON.stringify(found); }})"
    path = folder / "page.html"
    path.write_text(text.replace("</body>", f"<script>{run}</script></body>"), encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--enable-logging=stderr",
    ]
    flags += [f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2000", "--virtual-time-budget=8000"]
    done = subprocess.run(
        [str(CHROMIUM), *flags, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=180, check=False
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None, done.stderr
    found: dict[str, Any] = json.loads(html.unescape(title[1]))
    return found


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_cells_open_by_mouse_keyboard_and_address_and_rows_are_found(
    table3: Table, runs: tuple[RunResult, ...], tmp_path: Path
) -> None:
    ids = [run_id for row in table3.rows for run_id in row.cells[table3.columns[0].key].run_ids]
    made = [replace(runs[0], run=Run(run_id, "a" * 64, seed, {})) for seed, run_id in enumerate(ids)]
    rows = tuple(replace(row, name=f"{row.name} {copy}") for copy in range(3) for row in table3.rows)
    page = render_html(StudyReport(tables=[replace(table3, rows=rows)], runs=made), plotlyjs="shared")
    found = _in_a_browser(
        page,
        """
        const drawer = document.getElementById("drawer");
        const body = document.querySelector("table.cells").tBodies[0];
        const shown = () => [...body.rows].filter((row) => !row.hidden).length;
        const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        const seen = { all: shown() };
        body.querySelector("td[data-runs]").click();
        seen.mouse = [drawer.open, drawer.querySelectorAll("section").length > 0];
        drawer.close();
        body.querySelector("td[tabindex='0']").focus();
        press("ArrowDown");
        seen.moved = document.activeElement.parentElement !== body.rows[0];
        press("Enter");
        seen.keyboard = drawer.open;
        drawer.close();
        const search = document.querySelector(".tools input");
        search.value = body.rows[0].querySelector("th").textContent;
        search.dispatchEvent(new Event("input"));
        seen.found = shown();
        search.value = "";
        search.dispatchEvent(new Event("input"));
        document.querySelector("thead tr:last-child th button").click();
        seen.sorted = [...body.rows].map((row) => Number(row.cells[1].dataset.sort)).filter((value) => value);
        location.hash = `run-${JSON.parse(document.getElementById("drawer-data").textContent).runs.id[0]}`;
        await new Promise((resolve) => setTimeout(resolve, 300));
        seen.address = drawer.open;
        return seen;
        """,
        tmp_path,
    )
    assert found["mouse"] == [True, True]
    assert [found["moved"], found["keyboard"], found["address"]] == [True, True, True]
    assert found["all"] == 3 * found["found"] * len(table3.rows)
    assert found["sorted"] == sorted(found["sorted"])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_of_a_large_matrix_a_drawer_tells_the_mistakes_and_what_it_leaves_out(
    table1: Table, runs: tuple[RunResult, ...], tmp_path: Path
) -> None:
    names = tuple(f"class {place}" for place in range(30))
    counts = tuple(tuple(50 if at == true else int(at == true + 1) for at in range(30)) for true in range(30))
    run = replace(runs[0], confusions=(Confusion("test", "last", names, counts),))
    found = _in_a_browser(
        render_html(StudyReport(tables=[table1], runs=[run], logs={run.run.run_id: ""}), plotlyjs="shared"),
        """
        location.hash = `run-${JSON.parse(document.getElementById("drawer-data").textContent).runs.id[0]}`;
        await new Promise((resolve) => setTimeout(resolve, 300));
        const told = [...document.querySelectorAll("#drawer details")].find((one) => one.textContent.includes("mistakes"));
        return { rows: told.querySelectorAll("tbody tr").length, first: told.querySelector("tbody tr").textContent, text: told.querySelector("p").textContent };
        """,
        tmp_path,
    )
    shown = run.run.run_id[:12]
    assert found == {
        "rows": 10,
        "first": "class 0class 112%",
        "text": "These are 10 of 29 kinds of mistakes, 10 of 29 in all. "
        f"The whole matrix of 30 classes: ablate runs show {shown} --json",
    }


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_matrixs_shares_are_made_in_the_page(classes: Table, tmp_path: Path) -> None:
    found = _in_a_browser(
        render_html(StudyReport(tables=[classes]), plotlyjs="inline"),
        """
        document.querySelectorAll("details").forEach((details) => { details.open = true; });
        await new Promise((resolve) => setTimeout(resolve, 2500));
        const matrices = [...document.querySelectorAll(".plot")].filter((plot) => plot.data?.[0]?.type === "heatmap");
        return { sums: matrices.filter((plot) => plot.data[0].zmax === 1).map((plot) => plot.data[0].z.map((row) => row.reduce((a, b) => a + b, 0))) };
        """,
        tmp_path,
    )
    assert found["sums"]
    assert all(total == pytest.approx(1) for sums in found["sums"] for total in sums)
