"""Write the formulas of the pages as MathML, which browsers show without JavaScript; a formula that cannot be read fails the build."""

import html
import re

from math_core import LatexToMathML

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
CONVERTER = LatexToMathML(fancy_error=False)


def on_page_content(content: str, **_: object) -> str:
    """Replace what `pymdownx.arithmatex` has marked as a formula; MkDocs calls this for each page."""
    return FORMULA.sub(lambda found: CONVERTER.convert_with_local_state(html.unescape(found[2]), displaystyle=found[1] == "div"), content)
