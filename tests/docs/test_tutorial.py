"""The notebook runs, and what is committed is small and whole."""

import pytest

from .pages import ROOT

nbformat = pytest.importorskip('nbformat')
NOTEBOOK = ROOT / 'docs' / 'tutorial.ipynb'
RECIPE = 'SampleRecipe(train=160, val=8, test=32)'
FEW = 'SampleRecipe(train=16, val=2, test=5)'  # it shows the fifth


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


def pictures(notebook):
    return [
        output.data['image/jpeg']
        for cell in code_cells(notebook)
        for output in cell.outputs
        if 'image/jpeg' in output.get('data', {})
    ]


def test_it_was_committed_with_its_outputs():
    notebook = nbformat.read(NOTEBOOK, 4)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), 'run it from the top'
    kinds = {
        output.output_type
        for cell in code_cells(notebook)
        for output in cell.outputs
    }
    assert kinds <= {'stream', 'display_data'}, kinds
    assert len(pictures(notebook)) >= 4
    assert NOTEBOOK.stat().st_size < 1_000_000
    assert str(ROOT) not in NOTEBOOK.read_text()


@pytest.mark.slow
def test_it_runs_from_the_top(tmp_path, monkeypatch):
    """With few images and hardly any training."""
    nbclient = pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.setenv('TUTORIAL_ITERATIONS', '2')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    notebook = nbformat.read(NOTEBOOK, 4)
    committed = len(pictures(notebook))
    (drawing,) = (c for c in code_cells(notebook) if RECIPE in c.source)
    drawing.source = drawing.source.replace(RECIPE, FEW)
    client = nbclient.NotebookClient(
        notebook,
        timeout=900,
        resources=dict(metadata=dict(path=str(tmp_path / 'docs'))),
    )
    client.execute()
    assert len(pictures(notebook)) == committed
    printed = ''.join(
        output.get('text', '')
        for cell in code_cells(notebook)
        for output in cell.outputs
    )
    assert 'mutual information' in printed
    assert printed.count('of the pixels are flagged') == 3
