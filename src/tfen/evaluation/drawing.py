"""How pictures and tables of all reports look and are written: PNG with PDF beside it, LaTeX, pictures inside a page."""

import base64
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.figure import Figure

from tfen.files import whole_file

BLUE, ORANGE, GREEN, GREY = "#2a6f97", "#d1603d", "#5aa469", "#8a8f98"
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 150})


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG to `path` and as PDF beside it; the same figure gives the same bytes."""
    with whole_file(path) as part:
        figure.savefig(part, format="png", bbox_inches="tight", facecolor="white", metadata={"Software": None})
    with whole_file(path.with_suffix(".pdf")) as part:
        figure.savefig(
            part, format="pdf", bbox_inches="tight", metadata={"CreationDate": None, "Creator": None, "Producer": None}
        )
    plt.close(figure)
    return path


def inline(path: Path) -> str:
    """Return a PNG as an address that stands inside a page."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def render(template: str, **values: object) -> str:
    """Return a page made from one of the package's templates."""
    pages = Environment(loader=PackageLoader("tfen.evaluation"), autoescape=select_autoescape(["html", "j2"]))
    return pages.get_template(template).render(**values)


def latex_table(columns: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """Return a LaTeX tabular; the first `left` columns are set flush left, the others flush right."""
    align = "l" * left + "r" * (len(columns) - left)

    def line(cells: Sequence[object]) -> str:
        return " & ".join(str(cell).replace("%", r"\%").replace("_", r"\_") for cell in cells) + r" \\"

    body = [line(row) for row in rows]
    return "\n".join(
        [rf"\begin{{tabular}}{{{align}}}", r"\hline", line(columns), r"\hline", *body, r"\hline", r"\end{tabular}", ""]
    )
