"""What holds for every data set that is registered, and the tables of the docs."""

import importlib
from pathlib import Path

import pytest
from golden_texts import raising

from ablate.parts.declare import DataSet, Part, Transform
from ablate.parts.found import module_of, parts

DOCS = Path(__file__).parents[3] / "docs" / "study-files.md"
FIRST_ONES = ("caltech100", "caltech101", "cifar10", "cifar100", "digits", "imagefolder", "npz", "synthetic")


@pytest.mark.parametrize("known", list(parts(DataSet).values()), ids=list(parts(DataSet)))
def test_a_data_set_is_declared_soundly(known: DataSet, tmp_path: Path) -> None:
    assert known.get
    assert (known.classes is None) == (known.images is None) == known.needs_path
    if known.archive is not None:
        assert known.archive.place in known.places
    if not known.embedded:
        assert known.open(tmp_path / "nothing") is None
    if known.sums:
        assert known.summed
    assert known.official is None or set(known.official) <= {"train", "val", "test"}


def test_the_first_data_sets_split_as_they_always_did() -> None:
    fractions = {"train": 0.8, "val": 0.2}
    known = parts(DataSet)
    assert {name: known[name].split for name in FIRST_ONES} == {
        "caltech100": fractions,
        "caltech101": fractions,
        "cifar10": "official",
        "cifar100": "official",
        "digits": fractions,
        "imagefolder": None,
        "npz": "official",
        "synthetic": "official",
    }


def test_fractions_are_needed_where_nothing_is_official() -> None:
    with raising(ValueError):
        DataSet(name="mine", open=lambda place: None, official=())


def first_line(part: Part) -> str:
    return (importlib.import_module(module_of(part)).__doc__ or "").splitlines()[0]


def data_set_row(known: DataSet) -> str:
    if known.official is None:
        official = "its own, where it has one" if known.split else "must be said"
    else:
        official = ", ".join(known.official) or "none: 0.8 and 0.2"
    where = "nothing to get" if known.embedded else "`data.path`" if known.needs_path else f"`{known.places[0]}`, ..."
    about = f" ({known.about})" if known.about else ""
    size = f"{known.images:,} in {known.classes}" if known.images else ""
    return f"| `{known.name}` | {first_line(known).removesuffix('.')}{about} | {size} | {official} | {where} |"


def transform_row(part: Transform) -> str:
    arguments = ", ".join(f"`{name}` {field.default:g}: {field.about}" for name, field in part.fields.items())
    return f"| `{part.name}` | {first_line(part).removesuffix('.')} | {arguments or 'none'} |"


@pytest.mark.parametrize(
    "table",
    [
        [
            "| data set | | images, classes | official split | where |",
            "|---|---|---|---|---|",
            *map(data_set_row, parts(DataSet).values()),
        ],
        ["| transform | | arguments |", "|---|---|---|", *map(transform_row, parts(Transform).values())],
    ],
    ids=["data sets", "transforms"],
)
def test_the_docs_have_the_table(table: list[str]) -> None:
    assert "\n".join(table) + "\n" in DOCS.read_text(encoding="utf-8")
