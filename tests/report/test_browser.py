"""A study's page in a headless browser, as people use it: by mouse, by keyboard, on a phone, in the dark, on paper."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, browser, needs_chromium

from ablate.analysis.table import Cell, Column, Curve, Row, Table
from ablate.project.pages import study_page
from ablate.report.declare import StudyReport
from ablate.report.html import render_html
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import Choices, load
from ablate.study.records import EpochRecord, Outcome
from ablate.study.values.study import Study

pytestmark = needs_chromium

STUDY = """
study: small
about: Which network, which refinements?
recipe:
  data: {name: digits, limit: 350, split: {train: 0.8, test: 0.2}}
  model: {arch: resnet18, small_stem: true}
  epochs: 4
factors:
  tweak: {path: model.tweak, levels: [A, C, D]}
  refinements:
    subsets:
      c: {schedule.name: cosine}
      l: {loss.label_smoothing: 0.1}
seeds: 3
baseline: {tweak: A, refinements: none}
labels:
  refinements=c: cosine decay
  refinements=l: label smoothing
tables:
  effects: {rows: effect, columns: [top1]}
  scores: {rows: [tweak, refinements], columns: [top1, top5, loss, train_top1], claims: [D > A]}
  course: {rows: [tweak, refinements, epoch], columns: [top1]}
"""
ARMS = 12


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study of twelve arms and three seeds, with numbers drawn for it."""
    folder = tmp_path_factory.mktemp("page")
    path = folder / "small.yaml"
    path.write_text(STUDY, encoding="utf-8")
    study = load(path, Choices())
    with Store.open(f"sqlite:///{folder / 'results.db'}") as store:
        _fill(store, study)
        name, text = study_page(study, store, "html")
    written = folder / name
    written.write_text(text, encoding="utf-8")
    return written


def _fill(store: Store, study: Study) -> None:
    draw = random.Random(1)
    strength = {arm.arm_id: 0.7 + 0.02 * place for place, arm in enumerate(study.arms)}
    request = store.save_study(study, call_options={"seeds": [0, 1, 2]})
    worker = WorkerInfo.here(device="cpu")
    while claim := store.claim(request, worker):
        last = strength[claim.run.arm_id] + draw.gauss(0, 0.005)
        course = [EpochRecord(epoch, "test", {"top1": last - 0.1 / epoch, "loss": 1 - last}) for epoch in range(1, 5)]
        store.record_epoch(claim, course)
        top = {"top1": last, "top5": min(1.0, last + 0.1), "loss": 1 - last, "train_top1": last + 0.05}
        store.finish(claim, Outcome(top, "test"), 20 + draw.random())


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture
def shown(driven: Browser, page: Path) -> Iterator[Browser]:
    """The page at a desk. Whatever a test does to it, it says nothing on the console and asks for nothing but itself."""
    driven.media()
    driven.open(page)
    yield driven
    assert driven.complaints == []
    assert [url for url in driven.requests if not url.startswith(("data:", page.as_uri()))] == []


SCORES = "[...document.querySelectorAll('table.cells')].find((table) => table.dataset.name === 'scores')"
ROWS = f"[...{SCORES}.tBodies[0].rows].filter((row) => row.checkVisibility())"
BAR = f"{SCORES}.closest('section').querySelector('.tools')"
DRAWER = "document.getElementById('drawer')"


def test_a_column_sorts_up_down_and_back(shown: Browser) -> None:
    means = f"{ROWS}.map((row) => Number(row.querySelector('td.value').dataset.sort))"
    before = shown.eval(means)
    assert len(before) == ARMS
    button = "section:has(table[data-name=scores]) thead tr:last-child th.value button"
    orders = []
    for _ in range(3):
        shown.click(button)
        orders.append(shown.eval(means))
    assert orders == [sorted(before), sorted(before, reverse=True), before]
    assert orders[0] != before or orders[1] != before


def test_rows_are_filtered_by_level_and_found_by_words(shown: Browser) -> None:
    labels = f"{ROWS}.map((row) => [...row.querySelectorAll('th')].map((cell) => cell.textContent))"
    choose = (
        f"const [first] = {BAR}.querySelectorAll('select'); first.value = 'C'; first.dispatchEvent(new Event('change'))"
    )
    shown.eval(f"(() => {{ {choose}; }})()")
    kept = shown.eval(labels)
    assert len(kept) == ARMS / 3
    assert {row[0] for row in kept} == {"C"}
    shown.click("section:has(table[data-name=scores]) .tools input")
    shown.type("smoothing cosine")
    assert shown.eval(labels) == [["C", "cosine decay + label smoothing"]]
    assert shown.eval(f"{BAR}.querySelector('span').textContent") == f"1 of {ARMS} rows"


@pytest.mark.slow
def test_a_cell_opens_its_runs_and_a_run_has_an_address(shown: Browser, page: Path) -> None:
    shown.click("table[data-name=scores] tbody tr:nth-child(2) td[data-runs]")
    assert shown.eval(f"{DRAWER}.open")
    assert shown.eval(f"{DRAWER}.querySelectorAll('section').length") == 3
    assert shown.eval(f"{DRAWER}.querySelector('tbody tr').textContent") == "schedule.nameconstantcosine"
    address = shown.eval(f"{DRAWER}.querySelector('section').id")
    shown.press("Escape")
    assert not shown.eval(f"{DRAWER}.open")
    shown.open(page, f"#{address}")
    assert shown.eval(f"{DRAWER}.open")
    assert shown.eval(f"[...{DRAWER}.querySelectorAll('section')].map((box) => box.id)") == [address]


def test_the_keyboard_alone_sorts_opens_a_cell_and_comes_back(shown: Browser) -> None:
    focus = "document.activeElement"
    seen = []
    for _ in range(60):
        shown.press("Tab")
        seen.append(shown.eval(f"{focus}.closest('table')?.dataset.name === 'scores' ? {focus}.tagName : ''"))
        if seen[-1] == "TD":
            break
    assert "BUTTON" in seen, "no head of the table is reached by Tab"
    assert seen[-1] == "TD", "no cell of the table is reached by Tab"
    assert shown.eval(f"getComputedStyle({focus}).outlineStyle") != "none"
    shown.press("ArrowDown")
    place = shown.eval(f"{focus}.parentElement.rowIndex")
    shown.press("Enter")
    assert shown.eval(f"{DRAWER}.open")
    for _ in range(4):
        shown.press("Tab")
        assert shown.eval(f"{focus} === document.body || {DRAWER}.contains({focus})"), "Tab leaves an open drawer"
    shown.press("Escape")
    assert not shown.eval(f"{DRAWER}.open")
    assert shown.eval(f"[{focus}.tagName, {focus}.parentElement.rowIndex]") == ["TD", place]
    while shown.eval(f"{focus}.tagName") != "BUTTON":
        shown.press("Tab", shift=True)
    shown.press("Enter")
    assert shown.eval(f"{focus}.closest('th').ariaSort") == "ascending"


def test_figures_are_drawn_when_they_are_seen(shown: Browser) -> None:
    first = "document.querySelector('.plot')"
    shown.eval(f"{first}.scrollIntoView()")
    shown.until(f"{first}.querySelector('svg.main-svg') !== null")
    folded = "document.querySelector('details.figures-of')"
    assert shown.eval(f"{folded}.querySelector('svg.main-svg')") is None
    shown.eval(f"{folded}.open = true")
    shown.eval(f"{folded}.scrollIntoView()")
    shown.until(f"{folded}.querySelector('svg.main-svg') !== null")


@pytest.mark.slow
def test_a_page_whose_figures_are_folded_never_runs_plotly(
    driven: Browser, empty: Table, table3: Table, tmp_path: Path
) -> None:
    path = tmp_path / "folded.html"
    path.write_text(render_html(StudyReport(tables=[empty, table3])), encoding="utf-8")
    driven.media()
    driven.open(path)
    assert driven.eval("[document.querySelectorAll('.plot').length > 0, typeof Plotly]") == [True, "undefined"]
    driven.eval("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    driven.eval("document.querySelector('.plot').scrollIntoView()")
    driven.until("document.querySelector('.plot svg.main-svg') !== null")
    assert driven.complaints == []


def test_in_the_dark_page_and_figures_are_dark(shown: Browser) -> None:
    plot = "document.querySelector('.plot')"
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = f"getComputedStyle({plot}.querySelector('.xtick text')).fill"
    looks = []
    for dark in (False, True):
        shown.media(dark=dark)
        shown.eval(f"{plot}.scrollIntoView()")
        shown.until(f"{plot}.querySelector('.xtick text') !== null")
        shown.eval("new Promise((resolve) => setTimeout(resolve, 300))")
        looks.append([_light(shown.eval(ground)), _light(shown.eval(ink))])
    (page, text), (dark_page, dark_text) = looks
    assert page > 200 > 150 > text
    assert dark_page < 60 < 130 < dark_text


def _light(colour: str) -> float:
    """The mean of a computed colour's red, green and blue."""
    return sum(float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]) / 3


@pytest.mark.slow
def test_a_phone_scrolls_tables_and_not_the_page(shown: Browser, page: Path) -> None:
    shown.open(page, width=375, height=800, phone=True)
    shown.eval("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    root = "document.documentElement"
    assert shown.eval(f"[{root}.scrollWidth, window.innerWidth, window.visualViewport.width]") == [375, 375, 375]
    scroll = f"{SCORES}.closest('.scroll')"
    assert shown.eval(f"{scroll}.scrollWidth > {scroll}.clientWidth")
    lefts = f"[...{ROWS}[0].querySelectorAll('th.label')].map((cell) => cell.getBoundingClientRect().left)"
    mean = f"{ROWS}[0].querySelector('td').getBoundingClientRect().left"
    labels, number = shown.eval(lefts), shown.eval(mean)
    shown.eval(f"{scroll}.scrollLeft = 150")
    assert shown.eval(mean) == number - 150
    assert shown.eval(lefts) == labels, "the columns of labels are pinned"
    assert shown.eval(
        f"{ROWS}[0].querySelector('th:last-of-type').getBoundingClientRect().right < {scroll}.clientWidth / 2 + 40"
    ), "the pinned columns leave room for numbers"


@pytest.mark.slow
def test_labels_and_titles_of_figures_stay_inside_them_on_a_phone(driven: Browser, tmp_path: Path) -> None:
    top1 = Column("top1", "top1", "higher", "fraction", label="Top-1 accuracy on the official test images")
    cell = Cell(mean=0.5, n=3, planned=3, delta=0.1, delta_ci95=(0.05, 0.15), p_adjusted=0.01, decided=True)
    names = [f"label smoothing and cosine decay, step {n}" for n in range(3)]
    rows = tuple(Row(name, name, {"tweak": name}, {"top1": cell}) for name in names)
    arms, effects = (Table("s", None, kind, kind, "", (top1,), rows) for kind in ("arms", "effect"))
    path = tmp_path / "narrow.html"
    path.write_text(render_html(StudyReport(tables=[arms, effects])), encoding="utf-8")
    driven.media()
    driven.open(path, width=375, height=800, phone=True)
    driven.eval("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for place in range(driven.eval("document.querySelectorAll('.plot').length")):
        plot = f"document.querySelectorAll('.plot')[{place}]"
        driven.eval(f"{plot}.scrollIntoView()")
        driven.until(f"{plot}.querySelector('.xtitle')?.textContent.length > 10")
        driven.eval("new Promise((resolve) => setTimeout(resolve, 200))")
        inside = (
            f"(() => {{ const all = {plot}.getBoundingClientRect(); return [...{plot}.querySelectorAll('text')]"
            ".filter((one) => one.getBoundingClientRect().width).map((one) => [one.textContent, one.getBoundingClientRect()])"
            ".filter(([, own]) => own.left < all.left || own.right > all.right).map(([text]) => text); })()"
        )
        assert driven.eval(inside) == []
        area = f"{plot}.querySelector('.plot .nsewdrag, .nsewdrag').getBoundingClientRect().width"
        assert driven.eval(area) > 100, "the labels leave room for the numbers"
    assert driven.complaints == []


def test_what_a_page_says_or_asks_for_is_noted(driven: Browser, tmp_path: Path) -> None:
    """Or the silence of the others would mean nothing."""
    path = tmp_path / "loud.html"
    path.write_text("<script>console.error('loud')</script><img src='other.png'>", encoding="utf-8")
    driven.open(path)
    driven.eval("1")
    assert any("loud" in said for said in driven.complaints)
    assert driven.requests[-1] == (tmp_path / "other.png").as_uri()


@pytest.mark.slow
def test_print_shows_every_row_and_no_control(shown: Browser) -> None:
    width = f"{SCORES}.offsetWidth"
    on_screen = shown.eval(width)
    shown.media(kind="print")
    shown.eval("window.dispatchEvent(new Event('beforeprint'))")
    seen = "[...document.querySelectorAll('.tools, .tool, nav, #tip')].filter((one) => one.checkVisibility())"
    assert shown.eval(f"{seen}.length") == 0
    assert shown.eval(f"{ROWS}.length") == ARMS
    assert shown.eval(f"getComputedStyle({SCORES}.closest('.scroll')).overflow") == "visible"
    assert shown.eval(width) < 0.85 * on_screen, "wide tables fit paper"
    shown.until("[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('svg.main-svg'))")
    boxes = "[...document.querySelectorAll('.figure .plot')].map((plot) => plot.getBoundingClientRect())"
    overlap = f"{boxes}.filter((one, place, all) => all.some((other, at) => at !== place && one.top < other.bottom && other.top < one.bottom))"
    assert shown.eval(f"{overlap}.length") == 0, "each figure has the page's width to itself"
    assert shown.pdf().startswith(b"%PDF-")


def test_of_a_long_table_a_hundred_rows_are_shown_until_all_are_wanted(driven: Browser, tmp_path: Path) -> None:
    top1 = Column("top1", "top1", "higher", "fraction")
    rows = tuple(
        Row(f"t{n:03}", f"t{n:03}", {"tweak": f"t{n:03}"}, {"top1": Cell(mean=n / 1000, n=1)}) for n in range(250)
    )
    path = tmp_path / "long.html"
    table = Table("s", None, "t", "arms", "", (top1,), rows)
    path.write_text(render_html(StudyReport(tables=[table]), plotlyjs="shared"), encoding="utf-8")
    driven.media()
    driven.open(path)
    seen = "[...document.querySelector('table.cells').tBodies[0].rows].filter((row) => row.checkVisibility())"
    assert driven.eval(f"{seen}.length") == 100
    search = "const search = document.querySelector('.tools input'); search.value = 't2'"
    driven.eval(f"(() => {{ {search}; search.dispatchEvent(new Event('input')); }})()")
    assert driven.eval(f"{seen}.map((row) => row.cells[0].textContent)") == [f"t{n:03}" for n in range(200, 250)]
    driven.eval(f"(() => {{ {search.replace('t2', '')}; search.dispatchEvent(new Event('input')); }})()")
    for _ in range(2):
        driven.click("table.cells thead tr:last-child th.value button")
    assert driven.eval(f"[{seen}.length, {seen}[0].cells[0].textContent]") == [100, "t249"]
    driven.eval("[...document.querySelectorAll('.tools button')].at(-3).click()")
    assert driven.eval(f"{seen}.length") == 250
    driven.eval("[...document.querySelectorAll('.tools button')].at(-3).click()")
    driven.media(kind="print")
    assert driven.eval(f"{seen}.length") == 250


@pytest.mark.slow
def test_above_forty_arms_the_others_are_picked_from_a_list(driven: Browser, tmp_path: Path) -> None:
    names = [f"t{place:03}" for place in range(70)]
    top1 = Column("top1", "top1", "higher", "fraction")
    rows = tuple(
        Row(name, name, {"tweak": name}, {"top1": Cell(mean=0.5 + place / 1000, n=1)})
        for place, name in enumerate(names)
    )
    made = tuple(Curve(name, "top1", (1, 2), (0.25, 0.5), (0.2, 0.4), (0.3, 0.6), 3) for name in names)
    table = Table("s", None, "t", "arms", "", (top1,), rows, curves=made)
    path = tmp_path / "many.html"
    path.write_text(render_html(StudyReport(tables=[table])), encoding="utf-8")
    driven.media()
    driven.open(path)
    driven.eval("[...document.querySelectorAll('.plot')].at(-1).scrollIntoView()")
    driven.until("document.querySelector('select.picker') !== null")
    list_ = "document.querySelector('select.picker')"
    drawn = f"{list_}.nextElementSibling.data.filter((trace) => trace.visible === true && trace.name === 't033, top1')"
    choose = f"{list_}.value = [...{list_}.options].find((one) => one.text === 't033').value"
    driven.eval(f"(() => {{ {choose}; {list_}.dispatchEvent(new Event('change')); }})()")
    assert driven.eval(f"{drawn}.map((trace) => [trace.x, trace.y])") == [
        [[1, 2], pytest.approx([0.25, 0.5], abs=1e-4)]
    ]
    bars = "document.querySelector('.plot').data.filter((trace) => trace.hovertext)"
    assert driven.eval(f"{bars}[0].x.length") == 40
    assert driven.complaints == []
