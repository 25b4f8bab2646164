"""Metrics that stand in files: which files, what in them counts, and what is told where nothing comes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising

from ablate.errors import Diverged, Interrupted, RunFailure
from ablate.study.records import Context, Outcome
from ablate.study.values.run import Run
from ablate.training.foreign.files import reader as reader_module
from ablate.training.foreign.files.reader import LOOK_SECONDS, MetricFiles
from ablate.training.foreign.measured import Measured


class Watched:
    """A run whose files a test writes itself: `look` is a second later."""

    def __init__(self, folder: Path, files: dict[str, Any], **trainer: Any) -> None:
        self.folder = folder
        self.records: list[Any] = []
        given = {"command": ["x"], "metrics": dict.fromkeys(files), "files": files, **trainer}
        self.run = Run("a" * 64, "b" * 64, 7, {}, given)
        self.context = Context(folder.parent, on_epoch=self.records.extend, options={"study_dir": str(folder)})
        self.start()

    def start(self) -> None:
        """An attempt begins."""
        self.measured = Measured(self.run, self.context)
        self.files = MetricFiles(self.run, self.measured, self.folder)

    def write(self, name: str, text: str, *, add: bool = False) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if add else "w") as stream:
            stream.write(text)

    def look(self, *, ended: bool = False) -> list[tuple[int, str, str, float]]:
        self.records.clear()
        self.files.look(ended=ended)
        self.measured.hand_on()
        return [(r.epoch, r.split, name, value) for r in self.records for name, value in r.metrics.items()]

    def end(self) -> Outcome:
        self.files.look(ended=True)
        return self.measured.outcome()


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., Watched]:
    """watch(metric={"column": [...]}, file=...): each metric of one file of {run_dir}."""

    def make(file: str = "m.csv", trainer: Any = None, **wanted: Any) -> Watched:
        folder = tmp_path / "run [1]"
        folder.mkdir(exist_ok=True)
        files = {name: {"file": f"{{run_dir}}/{file}", **where} for name, where in wanted.items()}
        return Watched(folder, files, **(trainer or {}))

    return make


def test_a_table_is_read_as_it_comes_line_by_line(watch: Any) -> None:
    seen = watch("csv/*/m.csv", val_acc={"column": ["val/acc"]}, train_loss={"column": ["loss"]})
    assert seen.look() == []
    seen.write("csv/v0/m.csv", "epoch,val/acc,loss\n1,0.5,2.5\n2,0.")
    assert seen.look() == [(1, "val", "acc", 0.5), (1, "train", "loss", 2.5)]
    seen.write("csv/v0/m.csv", "71,\n3,,1e-05\n", add=True)
    assert seen.look() == [(2, "val", "acc", 0.71), (3, "train", "loss", 1e-05)]
    seen.write("csv/v0/m.csv", "4,0.75,0.5", add=True)
    assert seen.look() == []
    assert seen.look(ended=True) == [(4, "val", "acc", 0.75), (4, "train", "loss", 0.5)]
    outcome = seen.end()
    assert outcome.metrics == {"val_acc": 0.75, "acc": 0.75, "train_loss": 0.5}
    assert (outcome.reported_split, outcome.details) == ("val", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epoch,acc\n1,0.5\n", (1, 0.5)),
        ("acc,epoch\n0.5,0\n", (0, 0.5)),
        ("step,acc\n250,0.5\n", (250, 0.5)),
        ("epoch,step,acc\n0.25,250,0.5\n", (250, 0.5)),
        ("acc\n0.5\n", (1, 0.5)),
        ("acc\r\n0.5\r\n", (1, 0.5)),
        ("\ufeffepoch; acc\n3; 0.5\n", (3, 0.5)),
        ("epoch\tacc\n3\t5e-1\n", (3, 0.5)),
        ('epoch,note,acc\n3,"a\nb, c",0.5\n', (3, 0.5)),
        ('"epoch","acc"\n"3.0","0.5"\n', (3, 0.5)),
        ("epoch,acc\n3,0.5\nepoch,acc\n", (3, 0.5)),
        ("epoch,acc\n3,0.5,\n\n", (3, 0.5)),
    ],
)
def test_where_a_number_of_a_table_belongs(watch: Any, text: str, expected: Any) -> None:
    seen = watch(acc={"column": ["acc"]})
    seen.write("m.csv", text)
    assert seen.look() == [(expected[0], "test", "acc", expected[1])]


def test_the_study_may_name_what_counts(watch: Any) -> None:
    seen = watch(acc={"column": ["acc"], "epoch": ["round"]}, loss={"column": ["loss"]})
    seen.write("m.csv", "round,acc,loss\n5,0.5,2\n")
    assert sorted(seen.look()) == [(1, "test", "loss", 2.0), (5, "test", "acc", 0.5)]
    assert seen.end().details == {"counted_by": {"acc": "round", "loss": "row"}}


def test_a_metric_that_was_counted_by_its_step_once_stays_with_it(watch: Any) -> None:
    seen = watch("m.jsonl", loss={"path": ["loss"]})
    seen.write("m.jsonl", '{"epoch": 0.5, "step": 5, "loss": 3}\n{"epoch": 1.0, "step": 10, "loss": 2}\n')
    assert [record[0] for record in seen.look()] == [5, 10]


def test_a_file_that_is_written_anew_is_told_once(watch: Any) -> None:
    seen = watch(acc={"column": ["acc"]})
    seen.write("m.csv", "epoch,acc\n1,0.5\n2,0.6\n")
    seen.look()
    seen.write("m.csv", "epoch,acc,loss\n1,0.5,\n2,0.6,\n3,0.7,1\n")
    assert seen.look() == [(3, "test", "acc", 0.7)]
    seen.write("m.csv", "epoch,acc\n1,0.9\n")
    assert seen.look() == [(1, "test", "acc", 0.9)]


@pytest.mark.parametrize(
    ("name", "text", "path", "expected"),
    [
        ("m.json", '{"eval": {"acc": 0.5}}', ["eval", "acc"], [(None, 0.5)]),
        ("m.json", '{"epoch": 3, "eval": {"acc": "0.5"}}', ["eval", "acc"], [(3, 0.5)]),
        ("m.json", '{"eval": {"val/acc": 0.5}, "val.acc": 1}', ["eval", "val/acc"], [(None, 0.5)]),
        ("m.json", '{"acc": [0.5, 0.75]}', ["acc"], [(1, 0.5), (2, 0.75)]),
        ("m.json", '{"acc": [0.5, 0.75], "epoch": [0, 5]}', ["acc"], [(0, 0.5), (5, 0.75)]),
        ("m.json", '{"acc": [0.5, 0.75], "epoch": 9}', ["acc", "-1"], [(9, 0.75)]),
        ("m.json", '{"log": [{"step": 9, "acc": 0.5}, {"loss": 1}, {"step": 19, "acc": 0.75}]}', ["log", "acc"], [(9, 0.5), (19, 0.75)]),
        ("m.json", '[{"acc": 0.5, "acc": 0.5}, {"acc": null}, {"acc": true}]', ["acc"], [(1, 0.5)]),
        ("m.jsonl", '{"epoch": 1, "acc": 0.5}\n{"epoch": 2, "a\n{"epoch": 2, "acc": 0.75}\n', ["acc"], [(1, 0.5), (2, 0.75)]),
        ("m.jsonl", '{"acc": 0.5}\n{}\n{"acc": 0.75}\n', ["acc"], [(1, 0.5), (3, 0.75)]),
        ("m.yaml", "eval: {acc: 5e-1, 3: x}\n", ["eval", "acc"], [(None, 0.5)]),
        ("m.yml", "epoch: 1\nacc: .5\n---\nepoch: 2\nacc: 0.75\n", ["acc"], [(1, 0.5), (2, 0.75)]),
        ("m.yaml", "- {k: {1: 0.5}}\n- {k: {1: 0.75}}\n", ["k", "1"], [(1, 0.5), (2, 0.75)]),
    ],
)  # fmt: skip
def test_where_a_path_leads(watch: Any, name: str, text: str, path: list[str], expected: Any) -> None:
    seen = watch(name, acc={"path": path})
    seen.write(name, text)
    assert seen.look(ended=True) == [(epoch, "test", "acc", value) for epoch, value in expected if epoch is not None]
    assert seen.end().metrics["acc"] == expected[-1][1]


def test_a_counter_may_be_a_path_too(watch: Any) -> None:
    seen = watch("m.jsonl", acc={"path": ["eval", "acc"], "epoch": ["state", "round"]})
    seen.write("m.jsonl", '{"state": {"round": 4}, "epoch": 1, "eval": {"acc": 0.5}}\n')
    assert seen.look() == [(4, "test", "acc", 0.5)]


def test_half_a_document_waits(watch: Any) -> None:
    seen = watch("m.json", acc={"path": ["acc"]})
    seen.write("m.json", '{"epoch": 1, "acc": 0.')
    assert seen.look() == []
    seen.write("m.json", "5}", add=True)
    assert seen.look() == [(1, "test", "acc", 0.5)]
    seen = watch("m.yaml", acc={"path": ["acc"]})
    seen.write("m.yaml", "epoch: 1\nacc: 0.9")
    assert seen.look() == []
    seen.write("m.yaml", "5", add=True)
    assert seen.look() == []
    assert seen.look(ended=True) == [(1, "test", "acc", 0.95)]


@pytest.mark.parametrize("file", ["m.csv", "m.json", "m.jsonl"])
def test_what_an_earlier_attempt_wrote_is_not_read(watch: Any, file: str) -> None:
    old, new = {
        "m.csv": ("epoch,acc\n1,0.5\n2,0.9\n", "3,0.7\n"),
        "m.json": ('{"epoch": 2, "acc": 0.9}', '{"epoch": 3, "acc": 0.7}'),
        "m.jsonl": ('{"epoch": 2, "acc": 0.9}\n', '{"epoch": 3, "acc": 0.7}\n'),
    }[file]
    seen = watch("*/" + file, acc={"column" if file == "m.csv" else "path": ["acc"]})
    for folder in ("v0", "v1"):
        seen.write(f"{folder}/{file}", old)
    seen.start()
    assert seen.look() == []
    seen.write(f"v1/{file}", new, add=file != "m.json")
    assert seen.look() == [(3, "test", "acc", 0.7)]
    assert seen.end().metrics == {"acc": 0.7}


def test_a_file_that_an_attempt_writes_anew_is_read_whole_even_with_the_same_bytes(watch: Any) -> None:
    import os

    seen = watch(acc={"column": ["acc"]})
    seen.write("m.csv", "epoch,acc\n1,0.5\n")
    seen.start()
    with raising(RunFailure):
        seen.end()
    seen.start()
    seen.write("m.csv", "epoch,acc\n1,0.5\n")
    os.utime(seen.folder / "m.csv", ns=(1, 1))
    assert seen.look(ended=True) == [(1, "test", "acc", 0.5)]


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ({"column": ["val/acc"]}, {}),
        ({"column": ["val/acc"]}, {"other.csv": "x", "sub/m.txt": "y"}),
        ({"column": ["val/acc"]}, {"m.csv": "epoch,val_acc,loss\n1,0.5,2\n"}),
        ({"column": ["val/acc"]}, {"m.csv": "epoch,val/acc\n1,\n"}),
        ({"column": ["val/acc"]}, {"m.csv": "epoch,val/acc\n1,n/a\n"}),
        ({"column": ["val/acc"]}, {"m.csv": ""}),
        ({"column": ["val/acc"]}, {"m.csv": "epoch,test/acc,val/loss\n1,n/a,2\n"}),
        ({"path": ["eval", "acc"]}, {"m.json": '{"eval": {"loss": 2, "accuracy": 0.5}, "epoch": 3}'}),
        ({"path": ["eval", "acc"]}, {"m.jsonl": '{"epoch": 1}\n{"eval": {"acc": [[1]]}}\n'}),
    ],
)
def test_a_metric_that_never_comes_says_what_there_is(watch: Any, where: Any, files: Any) -> None:
    name = next((file for file in files if file.startswith("m.")), "m.csv")
    seen = watch(name, val_acc=where)
    for file, text in files.items():
        seen.write(file, text)
    with raising(RunFailure):
        seen.end()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "epoch,acc\n1,0.5x\n"),
        ("m.csv", "epoch,acc\n0.5,0.5\n"),
        ("m.csv", "epoch,acc\n1,0.5,0.6\n"),
        ("m.csv", "epoch,acc,acc\n1,0.5,0.6\n"),
        ("m.json", '{"acc": 0.5'),
        ("m.json", '{"acc": 0.5, "acc": 0.6}'),
        ("m.yaml", "acc: [0.5\n"),
    ],
)
def test_what_cannot_be_read_fails_the_run(watch: Any, name: str, text: str) -> None:
    seen = watch(name, acc={"column" if name == "m.csv" else "path": ["acc"]})
    seen.write(name, text)
    with raising(RunFailure):
        seen.end()


def test_several_files_for_a_glob_are_listed(watch: Any) -> None:
    seen = watch("*/m.csv", acc={"column": ["acc"]})
    for folder in ("v0", "v1"):
        seen.write(f"{folder}/m.csv", "epoch,acc\n1,0.5\n")
    with raising(RunFailure, match="v0/m.csv, v1/m.csv"):
        seen.look()


def test_a_glob_never_leads_out_of_the_run(watch: Any) -> None:
    with raising(RunFailure):
        watch("../*/m.csv", acc={"column": ["acc"]})


def test_percent_and_what_is_no_number(watch: Any) -> None:
    seen = watch(top1={"column": ["acc"]}, trainer={"units": {"top1": "percent"}})
    seen.write("m.csv", "epoch,acc\n1,93.5%\n")
    assert seen.look() == [(1, "test", "top1", 0.935)]
    seen = watch(top1={"column": ["acc"]})
    seen.write("m.csv", "epoch,acc\n1,93%\n")
    with raising(RunFailure):
        seen.look()
    seen = watch(acc={"column": ["acc"]})
    seen.write("m.csv", "epoch,acc\n1,0.5\n2,nan\n")
    with raising(Diverged):
        seen.end()


def test_a_metric_of_a_file_is_taken_from_there_alone(watch: Any) -> None:
    seen = watch(val_acc={"column": ["acc"]})
    seen.measured.take({"val_acc": 0.1, "val_loss": 2.0}, 1)
    seen.write("m.csv", "epoch,acc\n1,0.5\n")
    assert seen.end().metrics == {"val_acc": 0.5, "acc": 0.5, "val_loss": 2.0, "loss": 2.0}


def test_looking_takes_little_of_the_time(watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watch(acc={"column": ["acc"]})
    now = [0.0]
    looked: list[float] = []
    files = MetricFiles(seen.run, seen.measured, seen.folder, lambda: now[0])

    def look(*, ended: bool = False) -> None:
        looked.append(now[0])
        now[0] += 3.0

    monkeypatch.setattr(files, "look", look)
    for _ in range(40):
        files.look_if_due()
        now[0] += LOOK_SECONDS
    assert looked == [0.0, 33.0]
    assert reader_module.PATIENCE == 10


WRITES = """
import sys, time, pathlib
out = pathlib.Path(sys.argv[1]) / "csv"
out.mkdir()
with open(out / "m.csv", "w") as stream:
    print("epoch,val/acc", file=stream)
    for epoch in (1, 2, 3):
        print(f"{epoch},0.{epoch}", file=stream, flush=True)
        if epoch == 2: time.sleep(float(sys.argv[2]))
"""
METRIC = {"metrics": {"val_acc": None}, "trainer": {"files": {"val_acc": {"file": "{run_dir}/csv/*.csv", "column": ["val/acc"]}}}}  # fmt: skip


def test_a_command_that_writes_a_table(script: Any, told: Any) -> None:
    outcome = script(WRITES, "{run_dir}", "0", **METRIC)
    assert outcome.metrics == {"val_acc": 0.3, "acc": 0.3}
    assert told.epochs("acc") == [(1, "val", 0.1), (2, "val", 0.2), (3, "val", 0.3)]


def test_numbers_of_a_file_are_told_while_the_command_runs(script: Any, told: Any) -> None:
    told.stop_at_once()
    with pytest.raises(Interrupted):
        script(WRITES, "{run_dir}", "60", **METRIC)
    assert told.epochs("acc") == [(1, "val", 0.1), (2, "val", 0.2)]


def test_what_is_wrong_with_a_file_comes_after_the_commands_last_lines(script: Any) -> None:
    with raising(RunFailure, match="trained well"):
        script("print('trained well')", "{run_dir}", **METRIC)


def test_a_function_that_writes_a_table(function: Any, told: Any) -> None:
    source = "def train(recipe, *, seed, run_dir, report):\n    (run_dir / 'm.csv').write_text('epoch,a\\n1,0.5\\n')\n    report(epoch=1, loss=2.0)\n"
    trainer = {"files": {"acc": {"file": "{run_dir}/m.csv", "column": ["a"]}}}
    outcome = function(source, metrics={"acc": None}, trainer=trainer)
    assert outcome.metrics == {"acc": 0.5, "loss": 2.0}
    assert told.epochs("acc") == [(1, "test", 0.5)]


# TensorBoard ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def board() -> Callable[[Path, dict[int, float]], None]:
    """board(folder, {step: value}): an event file with these values of test/acc."""
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    def write(folder: Path, values: dict[int, float], tag: str = "test/acc") -> None:
        with SummaryWriter(str(folder)) as writer:
            for step, value in values.items():
                writer.add_scalar(tag, value, step)
                writer.add_text("note", "x", step)

    return write


@pytest.mark.libraries
def test_a_tag_of_event_files(watch: Any, board: Any) -> None:
    seen = watch("tb", acc={"tag": ["test/acc"]})
    board(seen.folder / "tb" / "version_0", {1: 0.1, 2: 0.7})
    assert seen.look() == [(1, "test", "acc", 0.1), (2, "test", "acc", 0.7)]
    assert seen.look() == []
    outcome = seen.end()
    assert (outcome.metrics, outcome.details) == ({"acc": 0.7}, {"counted_by": {"acc": "step"}})


@pytest.mark.libraries
def test_half_an_event_waits(watch: Any, board: Any, tmp_path: Path) -> None:
    seen = watch("tb", acc={"tag": ["test/acc"]})
    board(tmp_path / "whole", {1: 0.1, 2: 0.7})
    (whole,) = (tmp_path / "whole").iterdir()
    data = whole.read_bytes()
    (seen.folder / "tb").mkdir()
    half = seen.folder / "tb" / whole.name
    half.write_bytes(data[: data.rfind(b"test/acc")])
    assert seen.look() == [(1, "test", "acc", 0.1)]
    with half.open("ab") as stream:
        stream.write(data[data.rfind(b"test/acc") :])
    assert seen.look() == [(2, "test", "acc", 0.7)]


@pytest.mark.libraries
def test_event_files_of_an_earlier_attempt_and_of_two_folders(watch: Any, board: Any) -> None:
    seen = watch("tb", acc={"tag": ["test/acc"]})
    board(seen.folder / "tb" / "v0", {1: 0.1})
    seen.start()
    board(seen.folder / "tb" / "v1", {2: 0.2})
    assert seen.look() == [(2, "test", "acc", 0.2)]
    board(seen.folder / "tb" / "v2", {3: 0.2})
    with pytest.raises(RunFailure, match=r"2 files fit tb: tb/v1/.*, tb/v2/"):
        seen.look()


@pytest.mark.libraries
def test_a_tag_that_never_comes(watch: Any, board: Any) -> None:
    seen = watch("tb", acc={"tag": ["test/accuracy"]})
    board(seen.folder / "tb", {1: 0.1})
    with pytest.raises(RunFailure, match=r"has no tag 'test/accuracy'. Did you mean 'test/acc'"):
        seen.end()
