"""The real sets, where ABLATE_TEST_DATA names the folder that holds them."""

from pathlib import Path

import pytest

from ablate.study.recipes.recipe import Data
from ablate.training.data import class_counts, load_data


@pytest.mark.slow
def test_caltech101(real_data: Path, home: Path) -> None:
    data = Data(name="caltech101", image_size=32, split={"train": 0.8, "val": 0.2})
    splits = load_data(data, 0, home=home, data_root=real_data)
    assert splits.val is not None
    counts = class_counts(splits.train, 101) + class_counts(splits.val, 101)
    assert len(splits.classes) == 101
    assert len(splits.train) + len(splits.val) == 8677
    assert (int(counts.min()), int(counts.max())) == (31, 800)
    assert splits.classes[:3] == ("Faces", "Faces_easy", "Leopards")
    assert splits.skipped == ()
    assert splits.details["ignored_files"] == 0


@pytest.mark.slow
def test_cifar10_npz(real_data: Path, home: Path) -> None:
    splits = load_data(Data(name="cifar10"), 0, home=home, data_root=real_data)
    assert splits.test is not None
    assert splits.train.images.shape == (49_856, 3, 32, 32)
    assert len(splits.test) == 9_968
    assert splits.classes[0] == "airplane"
    # The channel statistics of all pixels, which CIFAR-10's full 50,000 images have to three decimals too.
    assert splits.mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-4)
    assert splits.std.tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=5e-4)
