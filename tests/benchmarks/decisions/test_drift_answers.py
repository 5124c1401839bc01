"""The answer of the benchmark of drift, change by change."""

from benchmarks.decisions.drift import by_change


def test_the_longest_delay_of_all_data_stands_first():
    rows = {n: dict(delay=d) for n, d in (('a', 3.0), ('b', 7.0))}
    missed = dict(a=dict(delay=None), b=dict(delay=1.0))
    found = {n: dict(noise=rows[n], dusk=missed[n]) for n in rows}
    assert by_change(found) == dict(
        noise=dict(delay=7.0, **rows), dusk=dict(delay=None, **missed)
    )
