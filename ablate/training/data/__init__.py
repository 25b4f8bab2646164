"""Data sets: found, decoded once to uint8, split by the seed, augmented in batches on the device that trains."""

from ablate.training.data.augment import augment_batch, normalize_batch
from ablate.training.data.catalog import DatasetRow, list_datasets
from ablate.training.data.load import DataSplits, Split, class_counts, forget_data, load_data

__all__ = [
    "DataSplits",
    "DatasetRow",
    "Split",
    "augment_batch",
    "class_counts",
    "forget_data",
    "list_datasets",
    "load_data",
    "normalize_batch",
]
