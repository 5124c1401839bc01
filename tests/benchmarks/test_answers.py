"""A file of answers that several benchmarks add to."""

import json

from benchmarks.answers import add_answer


def test_what_others_have_written_stays(tmp_path):
    path = tmp_path / 'answers.json'
    add_answer(path, dict(a=1, b=dict(c=2)))
    add_answer(path, dict(d=3), 'b')
    add_answer(path, dict(e=4), 'f', 'g')
    add_answer(path, dict(a=5))
    found = json.loads(path.read_text())
    assert found == dict(a=5, b=dict(c=2, d=3), f=dict(g=dict(e=4)))
