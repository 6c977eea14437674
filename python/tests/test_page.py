"""docs/python.md: its code runs from top to bottom."""

import re

from conftest import ROOT


def test_the_page_runs(folder, labelled):
    page = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 9
    names = {}
    for block in blocks:
        try:
            exec(compile(block, "docs/python.md", "exec"), names)
        except Exception as error:
            raise AssertionError(f"this block of docs/python.md failed:\n{block}") from error
