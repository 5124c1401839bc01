"""Relative links and anchors in every Markdown file lead somewhere."""

import re

from .pages import ROOT, pages

FILES = [*pages(), 'CHANGELOG.md']
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
HEADING = re.compile(r'^#+ (.+)$', re.M)


def anchors(content):
    """As GitHub makes them."""
    found = set()
    for heading in HEADING.findall(content):
        text = re.sub(r'[`*]|\[([^\]]*)\]\([^)]*\)', r'\1', heading)
        text = re.sub(r'[^\w\- ]', '', text.lower())
        found.add(text.replace(' ', '-'))
    return found


def links(file):
    content = re.sub(r'```.*?```', '', (ROOT / file).read_text(), flags=re.S)
    return [
        link
        for link in LINK.findall(content)
        if not re.match(r'[a-z]+:', link)
    ]


def test_no_dead_links():
    dead, count = [], 0
    for file in FILES:
        for link in links(file):
            count += 1
            name, _, anchor = link.partition('#')
            target = ROOT / file
            if name:
                target = (target.parent / name).resolve()
            if not target.exists() or ROOT not in target.parents:
                dead.append(f'{file}: {link}')
            elif anchor and anchor not in anchors(target.read_text()):
                dead.append(f'{file}: no heading for {link}')
    assert count > 20
    assert not dead, '\n'.join(dead)


def test_every_page_is_in_the_index():
    listed = {
        (ROOT / 'docs' / link).resolve() for link in links('docs/README.md')
    }
    missing = [
        page
        for page in pages()
        if page not in ('README.md', 'docs/README.md')
        and ROOT / page not in listed
    ]
    assert not missing, f'docs/README.md does not list {missing}'


def test_anchors():
    assert anchors('## What is `x`, and why?') == {'what-is-x-and-why'}
    assert anchors('# A\n### [Docs](a.md) of B') == {'a', 'docs-of-b'}
