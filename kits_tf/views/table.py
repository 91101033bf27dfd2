"""Scores as a table in the terminal."""

from kits_tf.analysis.scores import CaseScores


def scores_table(scores: list[CaseScores], summary: dict) -> str:
    """Returns the Dice of each case, then their mean and its 95 % interval, in aligned columns."""
    columns = list(scores[0].row())
    headings = [name.removesuffix("_dice").removeprefix("dice_") for name in columns]
    widths = [max(13, len(heading)) for heading in headings]
    flat = {name: summary[name] if name in summary else summary["dice"][name.removeprefix("dice_")] for name in columns}
    rows = [(case.case_id, [f"{case.row()[name]:.3f}" for name in columns]) for case in scores]
    rows.append(("mean", [f"{flat[name]['mean']:.3f}" for name in columns]))
    rows.append(("95 % of means", ["{:.3f}..{:.3f}".format(*flat[name]["interval_95"]) for name in columns]))
    first = max(len(name) for name, _ in rows)

    def line(name: str, cells: list[str]) -> str:
        return f"{name:<{first}}  " + "  ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))

    rule = "-" * len(line("", headings))
    body = [line(name, cells) for name, cells in rows]
    title = "Dice on the original grid (kidney = kidney with tumor)"
    return "\n".join([title, line("", headings), rule, *body[:-2], rule, *body[-2:]])
