"""`fit` from end to end on a data set of a few images."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
import torchvision
from golden_texts import raising
from trained import same, untimed, weights

from ablate.errors import BadData, Diverged, Interrupted, RunFailure, StudyError, UsageError
from ablate.parts.declare import Network
from ablate.parts.found import parts
from ablate.study.code.provenance import Code
from ablate.study.recipes.recipe import parse_recipe
from ablate.study.values.metrics import METRICS
from ablate.training import data as real_data
from ablate.training import loop as loop_module
from ablate.training import sources
from ablate.training.models import build_model
from ablate.training.trainer import fit

BUSY = {
    "data__augment": [{"horizontal_flip": {"p": 0.5}}],
    "mixup__alpha": 0.3,
    "loss__label_smoothing": 0.1,
    "model__dropout": 0.4,
    "schedule__name": "cosine",
    "epochs": 3,
}


@pytest.mark.slow
@pytest.mark.parametrize("arch", [name for name, part in parts(Network).items() if not part.package])
def test_every_network_trains_two_batches(arch: str, room: Any, new_run: Any, watched: Any) -> None:
    room.sizes, room.side = {"train": 8, "val": 3}, 32
    run = new_run(model__arch=arch, model__small_stem=True, batch_size=4, epochs=1, optimizer__lr=1e-3)
    outcome = fit(run, watched().context)
    assert 0 <= outcome.metrics["top1"] <= 1
    assert 0 < outcome.metrics["train_loss"] < 20
    assert outcome.metrics["loss"] > 0


def test_names_of_metrics_and_records(new_run: Any, watched: Any) -> None:
    here = watched()
    outcome = fit(new_run(epochs=2), here.context)
    assert [[record.split for record in records] for records in here.epochs] == [["train", "val", "test"]] * 2
    assert [records[0].epoch for records in here.epochs] == [1, 2]
    assert set(here.epochs[0][0].metrics) == {"objective", "loss", "top1", "lr"}
    assert set(here.epochs[0][1].metrics) == {"loss", "top1", "top5", "mean_class_accuracy"}
    assert outcome.reported_split == "test"
    assert outcome.metrics["top1"] == outcome.metrics["test_top1"] == here.metric("test", "top1")[-1]
    assert outcome.metrics["val_top1"] == here.metric("val", "top1")[-1]
    assert outcome.metrics["epochs_trained"] == 2
    assert set(outcome.metrics) <= set(METRICS)
    assert outcome.metrics["peak_memory"] > 1e6
    assert outcome.metrics["examples_per_second"] > 0
    (confusion,) = outcome.confusions
    assert (confusion.split, confusion.at) == ("test", "last")
    assert sum(map(sum, confusion.counts)) == 13
    assert sum(confusion.counts[i][i] for i in range(6)) / 13 == pytest.approx(outcome.metrics["top1"])
    assert outcome.artifacts == ()
    assert not list(here.context.run_dir.glob("*.pt"))
    json.dumps(outcome.details)
    assert outcome.details["data"]["images"] == {"train": 26, "val": 12, "test": 13}
    assert outcome.details["parameters"] == (3 * 64 * 8 + 8) + (8 * 6 + 6)


def test_it_learns(new_run: Any, watched: Any) -> None:
    outcome = fit(new_run(epochs=15, optimizer__lr=0.05), watched().context)
    assert outcome.metrics["top1"] > 0.9
    assert outcome.metrics["train_top1"] > 0.9


def test_training_accuracy_under_mixup_has_a_name_of_its_own(new_run: Any, watched: Any) -> None:
    here = watched()
    outcome = fit(new_run(mixup__alpha=0.2, epochs=1), here.context)
    assert set(here.epochs[0][0].metrics) == {"objective", "weighted_top1", "lr"}
    assert "train_top1" not in outcome.metrics
    assert "train_weighted_top1" in outcome.metrics


@pytest.mark.parametrize("settings", [{"loss__label_smoothing": 0.2}, {"loss__class_weights": "balanced"}])
def test_the_training_loss_stays_the_plain_one(settings: Any, new_run: Any, watched: Any) -> None:
    metrics = fit(new_run(epochs=1, **settings), watched("changed").context).metrics
    assert metrics["train_loss"] != pytest.approx(metrics["train_objective"], rel=1e-4)
    plain = fit(new_run(epochs=1), watched("plain").context).metrics
    assert plain["train_loss"] == plain["train_objective"]


def test_deterministic_algorithms_can_be_asked_for(new_run: Any, watched: Any) -> None:
    run = new_run(model__arch="three-layer-cnn", epochs=1)
    outcome = fit(run, watched(deterministic=True).context)
    assert "deterministic" in outcome.details["fingerprint"]


def test_it_trains_on_the_real_data_room(new_run: Any, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "data", real_data)
    data = {"data__name": "digits", "data__split": {"train": 0.6, "val": 0.2, "test": 0.2}, "data__limit": 200}
    settings = {"model__args": {"hidden": 64}, "batch_size": 32, "epochs": 12, "select": "val_loss"}
    outcome = fit(new_run(**data, **settings), watched().context)
    assert outcome.metrics["top1"] > 0.7
    assert outcome.details["data"]["images"]["train"] == 200


def test_top5_is_absent_below_five_classes(room: Any, new_run: Any, watched: Any) -> None:
    room.classes = 4
    outcome = fit(new_run(epochs=1), watched().context)
    assert "top5" not in outcome.metrics
    assert "top1" in outcome.metrics


def test_two_runs_are_equal_bit_for_bit(new_run: Any, watched: Any) -> None:
    first, second, other = watched("a", keep="last"), watched("b", keep="last"), watched("c", keep="last")
    one, two = fit(new_run(**BUSY), first.context), fit(new_run(**BUSY), second.context)
    fit(new_run(seed=1, **BUSY), other.context)
    assert untimed(one) == untimed(two)
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


def test_the_global_generator_is_put_back(new_run: Any, watched: Any) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(new_run(**{**BUSY, "epochs": 1}), watched().context)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "stop_after"),
    [("two-layer-fc", 0), ("two-layer-fc", 2), ("two-layer-fc", 6), ("two-layer-fc", 8), ("resnet18", 2)],
)
def test_an_interrupted_run_ends_as_if_undisturbed(arch: str, stop_after: int, new_run: Any, watched: Any) -> None:
    """Polls 0 to 3 are the steps of epoch 1 (26 images by 8), then come two evaluations; 6 and 8 are in epoch 2."""
    settings = {**BUSY, "model__arch": arch, "model__small_stem": arch == "resnet18", "epochs": 2}
    straight = watched("straight", keep="last")
    expected = fit(new_run(**settings), straight.context)
    stopped = watched("stopped", keep="last", stop_after=stop_after)
    with pytest.raises(Interrupted) as left:
        fit(new_run(**settings), stopped.context)
    assert left.value.exit_code == 143
    resumed = watched("stopped", keep="last")
    torch.manual_seed(stop_after)  # what the global generator holds must not matter
    outcome = fit(new_run(**settings), resumed.context)
    assert untimed(outcome) == untimed(expected)
    assert outcome.confusions == expected.confusions
    assert same(weights(straight), weights(resumed))
    assert outcome.details["resumed_at"] == [min(stop_after, 4) if stop_after < 6 else stop_after - 2]
    assert [r.metrics for r in resumed.epochs[-1]] == [r.metrics for r in straight.epochs[-1]]
    assert not list(resumed.context.run_dir.glob("checkpoint-*"))


def test_a_run_stopped_in_an_evaluation_evaluates_again(new_run: Any, watched: Any) -> None:
    straight = watched("straight", keep="last")
    expected = fit(new_run(**BUSY), straight.context)
    stopped = watched("stopped", stop_after=5)  # four steps, the batch of val, then the batch of test
    with pytest.raises(Interrupted):
        fit(new_run(**BUSY), stopped.context)
    assert stopped.epochs == []
    resumed = watched("stopped", keep="last")
    assert untimed(fit(new_run(**BUSY), resumed.context)) == untimed(expected)
    assert resumed.epochs == straight.epochs


def test_killed_at_every_step_it_still_ends_the_same(new_run: Any, watched: Any) -> None:
    settings = {**BUSY, "epochs": 2, "early_stopping__patience": 5, "select": "val_loss"}
    expected = fit(new_run(**settings), watched("straight", keep="all").context)
    for _ in range(8):
        with pytest.raises(Interrupted):
            fit(new_run(**settings), watched("broken", stop_after=1).context)
    last = watched("broken", keep="all")
    outcome = fit(new_run(**settings), last.context)
    assert untimed(outcome) == untimed(expected)
    assert outcome.selected_epoch == expected.selected_epoch
    assert outcome.confusions == expected.confusions
    assert [a.sha256 for a in outcome.artifacts] == [a.sha256 for a in expected.artifacts]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(new_run: Any, watched: Any) -> None:
    settings = {**BUSY, "epochs": 2}
    straight = watched("straight", keep="last")
    fit(new_run(**settings), straight.context)
    with pytest.raises(Interrupted):
        fit(new_run(**settings), watched("broken", stop_after=2, checkpoint_seconds=0).context)
    files = sorted(watched("broken").context.run_dir.glob("checkpoint-*"))
    assert len(files) == 2
    files[-1].write_bytes(files[-1].read_bytes()[:-100])
    resumed = watched("broken", keep="last")
    outcome = fit(new_run(**settings), resumed.context)
    assert outcome.details["resumed_at"] == [1]
    assert same(weights(straight), weights(resumed))


def test_a_checkpoint_of_another_run_or_other_data_is_not_taken_up(room: Any, new_run: Any, watched: Any) -> None:
    with pytest.raises(Interrupted):
        fit(new_run(seed=1), watched(stop_after=3).context)
    assert fit(new_run(seed=0), watched().context).details["resumed_at"] == []
    with pytest.raises(Interrupted):
        fit(new_run(seed=1), watched(stop_after=3).context)
    room.digest = "e" * 64
    room.made.clear()
    assert fit(new_run(seed=1), watched().context).details["resumed_at"] == []


def test_a_checkpoint_of_other_code_is_not_taken_up(new_run: Any, watched: Any, monkeypatch, capsys) -> None:
    with pytest.raises(Interrupted):
        fit(new_run(), watched(stop_after=3).context)
    assert list(watched().context.run_dir.glob("checkpoint-*"))
    monkeypatch.setattr("ablate.training.session.code_of", lambda run: Code("f" * 64))
    assert fit(new_run(), watched().context).details["resumed_at"] == []
    assert "another version of the trainer" in capsys.readouterr().out


def test_resuming_with_other_numerics_is_recorded(new_run: Any, watched: Any) -> None:
    settings = {"model__arch": "three-layer-cnn", "epochs": 1}
    with pytest.raises(Interrupted):
        fit(new_run(**settings), watched(stop_after=2).context)
    details = fit(new_run(**settings), watched(channels_last=False).context).details
    assert "channels_first" in details["fingerprint"]
    assert len(details["mixed_fingerprints"]) == 2


@pytest.mark.slow
def test_frozen_layers_keep_parameters_and_statistics(new_run: Any, watched: Any) -> None:
    here = watched(keep="last")
    run = new_run(model__arch="resnet18", model__small_stem=True, model__trainable=["layer4", "fc"])
    details = fit(run, here.context).details
    model = parse_recipe(run.recipe).model
    before = build_model(model, num_classes=6, image_shape=(3, 8, 8), seed=0).network.state_dict()
    after = weights(here)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == {name for name in after if name.startswith(("layer4.", "fc."))}
    assert int(after["layer1.0.bn1.num_batches_tracked"]) == 0
    assert int(after["layer4.0.bn1.num_batches_tracked"]) == 8
    assert details["trainable_parameters"] < details["parameters"]


@pytest.mark.slow
def test_a_frozen_layer_that_moves_is_an_error(new_run: Any, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "train_mode", lambda network, frozen: network.train())
    with raising(Exception):
        fit(new_run(model__arch="resnet18", model__small_stem=True, model__trainable="fc"), watched().context)


def test_trained_weights_load_into_plain_torchvision(room: Any, new_run: Any, watched: Any) -> None:
    room.sizes, room.side = {"train": 8, "val": 40}, 32
    here = watched(keep="last", channels_last=True)
    outcome = fit(new_run(model__arch="resnet18", batch_size=4, epochs=1), here.context)
    model = torchvision.models.resnet18(num_classes=6)
    model.load_state_dict(weights(here), strict=True)
    splits = next(iter(room.made.values()))
    with torch.no_grad():
        logits = model.eval()(room.normalize_batch(splits.val.images, splits.mean, splits.std))
    guesses = torch.zeros(6, 6, dtype=torch.int64)
    for truth, guess in zip(splits.val.labels, logits.argmax(1), strict=True):
        guesses[truth, guess] += 1
    assert outcome.confusions[0].counts == tuple(map(tuple, guesses.tolist()))
    (artifact,) = outcome.artifacts
    path = here.context.run_dir / artifact.path
    assert artifact.size == path.stat().st_size
    described = json.loads(path.with_suffix(".json").read_text())
    assert described["sha256"] == artifact.sha256
    assert described["variant"] == {"deep_stem": False, "avgpool_shortcut": False, "small_stem": False}


@pytest.mark.parametrize("images", [9, 17])
def test_a_last_batch_of_one_joins_the_one_before(images: int, room: Any, new_run: Any, watched: Any) -> None:
    room.sizes = {"train": images, "val": 3}
    outcome = fit(new_run(model__arch="resnet18", model__small_stem=True, batch_size=8, epochs=1), watched().context)
    assert outcome.details["data"]["images"]["train"] == images


def test_one_training_image_is_too_few(room: Any, new_run: Any, watched: Any) -> None:
    room.sizes = {"train": 1, "val": 3}
    with raising(BadData):
        fit(new_run(), watched().context)


def test_a_loss_that_is_not_finite_ends_the_run(new_run: Any, watched: Any) -> None:
    here = watched()
    with raising(Diverged):
        fit(new_run(optimizer__lr=1e30), here.context)
    assert here.epochs == []


def test_evaluation_every_second_epoch_and_at_the_end(new_run: Any, watched: Any) -> None:
    here = watched()
    fit(new_run(epochs=5, evaluate_every=2), here.context)
    assert [len(records) for records in here.epochs] == [1, 3, 1, 3, 3]


def test_select_reports_the_best_validation_epoch(new_run: Any, watched: Any) -> None:
    here = watched()
    outcome = fit(new_run(epochs=6, optimizer__lr=0.3, select="val_loss"), here.context)
    losses = here.metric("val", "loss")
    chosen = losses.index(min(losses))
    assert chosen < 5, "the case needs an epoch before the last"
    assert outcome.selected_epoch == outcome.metrics["selected_epoch"] == chosen + 1
    assert outcome.metrics["top1"] == here.metric("test", "top1")[chosen]
    assert outcome.metrics["train_loss"] == here.metric("train", "loss")[chosen]
    assert outcome.details["last"]["loss"] == here.metric("test", "loss")[-1]
    assert [confusion.at for confusion in outcome.confusions] == ["last", "selected"]
    assert [artifact.path for artifact in outcome.artifacts] == ["model-selected.pt"]
    shorter = watched("shorter", keep="last")
    fit(new_run(epochs=chosen + 1, optimizer__lr=0.3), shorter.context)
    assert same(weights(here, "selected"), weights(shorter))


def test_early_stopping_ends_after_its_patience(new_run: Any, watched: Any) -> None:
    here = watched()
    settings = {"early_stopping__metric": "val_loss", "early_stopping__patience": 2, "optimizer__lr": 0.5}
    outcome = fit(new_run(epochs=40, **settings), here.context)
    losses = here.metric("val", "loss")
    assert len(losses) < 40
    assert losses.index(min(losses)) == len(losses) - 3
    assert outcome.metrics["epochs_trained"] == len(losses)
    assert outcome.details["stopped_early"] is True


def test_early_stopping_never_looks_at_what_is_reported(room: Any, new_run: Any, watched: Any) -> None:
    """Another test set changes what is reported, and neither the epoch of the end nor the weights."""
    settings = {"early_stopping__metric": "val_loss", "early_stopping__patience": 2, "optimizer__lr": 0.5}
    before, after = watched("before", keep="last"), watched("after", keep="last")
    one = fit(new_run(epochs=40, **settings), before.context)
    splits = next(iter(room.made.values()))
    splits.test.labels.copy_((splits.test.labels + 1) % 6)
    two = fit(new_run(epochs=40, **settings), after.context)
    assert one.metrics["top1"] != two.metrics["top1"]
    assert one.metrics["epochs_trained"] == two.metrics["epochs_trained"]
    assert same(weights(before), weights(after))


@pytest.mark.parametrize(
    "settings", [{"early_stopping__patience": 2}, {"select": "val_top1"}], ids=["early stopping", "select"]
)
def test_a_test_set_never_selects(settings: Any, room: Any, new_run: Any, watched: Any) -> None:
    room.sizes = {"train": 10, "test": 5}
    with raising(StudyError):
        fit(new_run(**settings), watched().context)


def test_unknown_selection_metrics_are_refused(new_run: Any, watched: Any) -> None:
    with raising(StudyError):
        fit(new_run(select="val_top2"), watched().context)


def test_keep_writes_what_it_names(new_run: Any, watched: Any) -> None:
    def written(**options: Any) -> list[str]:
        here = watched(repr(options), **options)
        return [a.path for a in fit(new_run(epochs=1), here.context).artifacts]

    assert written() == []
    assert written(keep="last") == written(keep="selected") == written(keep="all") == ["model-last.pt"]
    assert written(needed_by_child=True) == ["model-last.pt"]


def test_progress_and_polling(new_run: Any, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.training.trainer.PROGRESS_SECONDS", 0.0)
    here, seen = watched(), []
    here.context.on_progress = seen.append
    run = new_run(epochs=2)
    fit(run, here.context)
    assert [(p.epoch, p.step, p.steps) for p in seen] == [(1 + i // 4, i, 8) for i in range(8)]
    assert seen[0].loss is None
    assert seen[1].loss > 0
    assert seen[-1].top1 == here.metric("test", "top1")[0]


def test_bf16_trains_and_keeps_its_parameters_in_fp32(new_run: Any, watched: Any) -> None:
    here = watched(keep="last")
    fit(new_run(precision="bf16", model__arch="three-layer-cnn"), here.context)
    assert {tensor.dtype for tensor in weights(here).values()} == {torch.float32}


def test_a_recipe_that_cannot_be_read_names_every_field(new_run: Any, watched: Any) -> None:
    run = new_run()
    run.recipe.json["optimizer"]["lr"] = -1
    run.recipe.json["batch_size"] = 0
    with pytest.raises(StudyError) as refused:
        fit(run, watched().context)
    assert [problem.key for problem in refused.value.problems] == ["optimizer.lr", "batch_size"]


def test_running_out_of_memory_says_what_to_lower(new_run: Any, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(loop_module.Loop, "_step", full)
    with raising(RunFailure, code="out-of-memory"):
        fit(new_run(), watched().context)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there(new_run: Any, watched: Any) -> None:
    here = watched()
    here.context.device = "cuda"
    with raising(UsageError):
        fit(new_run(), here.context)


def test_one_value_a_channel_is_an_error_of_the_recipe(room: Any, new_run: Any, watched: Any) -> None:
    room.sizes = {"train": 4, "val": 4}
    with raising(StudyError):
        fit(new_run(model__arch="resnet18", batch_size=1, epochs=1), watched().context)


def test_a_rate_that_no_float_holds_is_an_error_of_the_recipe(new_run: Any, watched: Any) -> None:
    with raising(StudyError):
        fit(new_run(optimizer__lr=1e308, epochs=1), watched().context)


def test_what_is_to_be_known_of_the_data_is_told(
    room: Any, new_run: Any, watched: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load, noted = room.load_data, {"notes": ["3 files were left out."], "ignored": ["a.heic"], "ignored_files": 3}

    def load_noted(*given: Any, **more: Any) -> Any:
        return replace(load(*given, **more), details=noted)

    monkeypatch.setattr(room, "load_data", load_noted)
    details = fit(new_run(epochs=1), watched().context).details["data"]
    assert details["class_names"] == [f"class{number}" for number in range(6)]
    assert {name: details[name] for name in noted} == noted
    assert capsys.readouterr().err == "3 files were left out.\n"
