"""What docs/embedding.md names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", TEXT)
    files = [target for target in targets if not target.startswith(("#", "http"))]
    assert len(files) > 4
    assert [target for target in files if not (PAGE.parent / target).exists()] == []
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {"#" + re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {target for target in targets if target.startswith("#")} <= anchors


def test_programs_are_built_by_the_examples() -> None:
    lists = {
        name: (PAGE.parents[1] / "examples" / name / "CMakeLists.txt").read_text() for name in ("cpp", "cpp_embed")
    }
    programs = re.findall(r"\$ build/(\w+)/(\w+)", TEXT)
    assert len(programs) == 5
    for folder, program in programs:
        assert program in lists["cpp" if folder == "cpp" else "cpp_embed"]


def test_commands_exist() -> None:
    from typer.main import get_command

    from fcnrt.cli.app import app

    existing = set(get_command(app).commands)  # type: ignore[attr-defined]
    used = set(re.findall(r"^\$ fcnrt (\w+)", TEXT, re.MULTILINE))
    assert used
    assert used <= existing


def test_python_is_python() -> None:
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        ast.parse(block)
