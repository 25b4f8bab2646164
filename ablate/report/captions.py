"""What stands over and under a figure, in words."""

from __future__ import annotations

from ablate.report import drawing
from ablate.report.infos import (
    AgainstInfo,
    BarsInfo,
    ConfusionInfo,
    CostInfo,
    CurvesInfo,
    EffectsInfo,
    GroupsInfo,
    Info,
)


def is_wide(info: Info) -> bool:
    """Whether it is drawn across the page."""
    if isinstance(info, ConfusionInfo):
        return len(info.classes) > drawing.LARGE
    return isinstance(info, CurvesInfo) and len(info.panels) > 1


def captions(info: Info) -> list[tuple[str, str]]:
    """A title and a caption for each of its figures."""
    if isinstance(info, BarsInfo):
        line = "; dotted: the baseline" if info.baseline is not None else ""
        axis = "" if info.from_zero else "; the axis does not begin at zero"
        dots = "; dots: single runs" if any(len(own) > 1 for own in info.singles) else ""
        few = f" The best and the worst; {info.left_out:,} rows more are in the table." if info.left_out else ""
        return [(info.title, f"Mean with its 95% interval{dots}{line}{axis}.{few}")]
    if isinstance(info, CurvesInfo):
        return [(info.title, info.caption)]
    if isinstance(info, CostInfo):
        line = "the line joins the arms that no other beats in both"
        return [
            (
                info.title,
                f"Means on {info.device}; {line}. Seconds as they were: what an earlier run left to use, or an earlier attempt did, is not counted.",
            )
        ]
    if isinstance(info, AgainstInfo):
        return [
            (info.title, "On the dotted line both are the same. Filled: agrees; open: differs, or one run cannot tell.")
        ]
    if isinstance(info, EffectsInfo):
        few = f" Main effects and the largest others; {info.left_out:,} more are in the table." if info.left_out else ""
        said = f"Filled: decided (adjusted p < .05). Open: undecided. Bars: 95% intervals.{few}"
        return [(info.title, said)]
    if isinstance(info, ConfusionInfo):
        summed = f"summed over {info.n} runs" if info.n != 1 else "one run"
        return [
            (f"{info.title}: counts", f"Confusion matrix, {summed}."),
            (f"{info.title}: shares", "Each row sums to 1."),
        ]
    joined = isinstance(info, GroupsInfo) and info.joined
    return [
        (
            info.title,
            f"Mean with its 95% interval.{' Lines that are not parallel hint at an interaction; the table tests it.' if joined else ''}",
        )
    ]
