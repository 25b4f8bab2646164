"""What a reader must know of a data set before the numbers: which files were left out, which parts were pooled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ablate.parts.reading.images import EXTENSIONS
from ablate.parts.reading.source import WHOLE, Source, some
from ablate.training.data.cache import Decoded


def data_notes(source: Source, decoded: Decoded, spec: Any) -> Iterator[str]:
    """Sentences about the data set as `data.split`, `spec`, takes it: the same for every seed, and without this machine's
    paths."""
    if source.ignored:
        endings = Counter(os.path.splitext(name)[1].lower() or "no ending" for name in source.ignored)
        counts = [
            f"{ending} ({count:,})" for ending, count in sorted(endings.items(), key=lambda pair: (-pair[1], pair[0]))
        ]
        yield (
            f"{_plural(len(source.ignored), 'file')} left out by their endings: {some(counts)}; "
            f"images end in {' '.join(sorted(EXTENSIONS))}."
        )
    if source.loose:
        they = "they have" if source.loose > 1 else "it has"
        yield f"{_plural(source.loose, 'image')} left out: beside the class folders, {they} no label."
    if source.beside:
        folders = [f"{name}/" for name in source.beside]
        yield f"Left out, as they lie beside the folders of the parts: {some(folders)}."
    for part, folder in source.unlabelled.items():
        yield f"{folder}/ has no class folders, so there is no {part} set: its images have no labels (`ablate predict`)."
    yield from _pooled(decoded, spec)


def _pooled(decoded: Decoded, spec: Any) -> Iterator[str]:
    """Official parts that fractions mix into training, or leave unused."""
    sizes = {part: stop - start for part, (start, stop) in decoded.parts.items()}
    if not isinstance(spec, Mapping) or WHOLE in sizes:
        return
    if spec.get("test") != "official":
        if len(sizes) > 1:
            parts = ", ".join(f"{part} {size:,}" for part, size in sizes.items())
            yield (
                f"data.split gives fractions, so the official parts were pooled ({parts}) and split anew: images of "
                f"{' and '.join(part for part in sizes if part != 'train')} are trained on."
            )
    elif "val" in sizes:
        yield f"The official val set ({sizes['val']:,} images) is not used: data.split cuts val from train."


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'s were' if count > 1 else ' was'}"
