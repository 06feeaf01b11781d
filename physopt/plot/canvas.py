"""What every picture begins with: an empty figure, and text that its font can show."""

from typing import TYPE_CHECKING

from physopt.core.extras import need

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, LINE, FAINT = "#222222", "#0b6e99", "#d9dde1"


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of this size in inches; Matplotlib is loaded now, and its global state is left alone."""
    need("matplotlib")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def readable(text: str) -> str:
    """Return what the font can show, on one line: names and units may come from a foreign file. Write it with `parse_math=False`."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("sans")).get_charmap()
    return "".join(c if c.isprintable() and ord(c) in known else "?" for c in text[:80])
