"""The error messages in the FAQ are those of the code."""

import ast
import re

from .pages import ROOT

HEADING = re.compile(r'^### (.+)$', re.M)


def strings():
    """Every text in the package, f-strings with … for what varies."""
    found = []
    for path in ROOT.glob('mmseg_ddu/**/*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else '…'
                    for part in node.values
                ]
                found.append(''.join(parts))
    return found


def pattern(heading):
    """… stands for anything short."""
    return re.compile('.{1,60}'.join(map(re.escape, heading.split('…'))))


def test_messages_of_the_faq_are_in_the_code():
    headings = HEADING.findall((ROOT / 'docs' / 'faq.md').read_text())
    assert len(headings) > 10
    code = strings()
    unknown = [
        heading
        for heading in headings
        if not any(pattern(heading).search(text) for text in code)
    ]
    assert not unknown, f'No error says {unknown}'


def test_an_invented_message_is_noticed():
    assert not any(
        pattern('The moon is made of …').search(text) for text in strings()
    )
