"""What runs noted of their data stands under their tables, each note once."""

from typing import Any

from ablate.analysis import build_table

LEFT_OUT = "16 files were left out by their endings: .heic (16)."


def test_notes_of_the_data_are_told_once(maker: Any, factor: Any) -> None:
    made = maker([factor("arch", "a", "b")], {"a": [0.8, 0.7], "b": [0.9, 0.9]}, baseline={"arch": "a"})
    for arm in ("a", "b"):
        for seed in (0, 1):
            notes = [LEFT_OUT, "pooled."] if arm == "a" else [LEFT_OUT]
            made.change(arm, seed, details={"data": {"notes": notes}})
    table = build_table(made.study, made.spec(), made.results)
    assert [note for note in table.notes if note.startswith("Data")] == [
        f"Data: {LEFT_OUT}",
        "Data of 2 of 4 runs: pooled.",
    ]
