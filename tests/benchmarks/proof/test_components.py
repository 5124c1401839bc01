"""Components of unknown objects, on two drawn images."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks.proof import judge_components as module
from benchmarks.proof.judge_scores import Fitted

UNKNOWN, VOID = 6, 255


class Images:
    """Two images; numbers stand for what a pipeline would pack."""

    def full_init(self):
        pass

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index


@pytest.fixture
def drawn(monkeypatch):
    values = torch.zeros(2, 40, 50, dtype=torch.long)
    values[0, 5:20, 5:20] = UNKNOWN
    values[1, 10:30, 20:45] = UNKNOWN
    labels = values.where(values != UNKNOWN, VOID)  # void in training
    labels[:, :, 46:] = VOID  # and void that is nothing

    def score_image(model, item, statistics):
        sample = SimpleNamespace(
            image=item, gt_sem_seg=SimpleNamespace(data=labels[item][None])
        )
        exact = (values[item] == UNKNOWN).float()
        exact[:, 46:] = 1  # nobody asks there
        rows = dict(exact=exact, inverted=1 - exact)
        return sample, {name: row[None, None] for name, row in rows.items()}

    monkeypatch.setattr(module, 'score_image', score_image)
    monkeypatch.setattr(
        module, 'mask_values', lambda sample, size: values[sample.image]
    )
    head = SimpleNamespace(ignore_index=VOID)
    monkeypatch.setattr(module, 'last_decode_head', lambda model: head)
    monkeypatch.setattr(module.DATASETS, 'build', lambda config: Images())


def test_unknown_objects_are_found_and_void_counts_in_nothing(drawn):
    fitted = Fitted(None, None, {})
    rows = module.components_of(fitted, {}, (UNKNOWN,), seed=0, number=2)
    assert rows['exact']['F1'] == rows['exact']['PPV'] == 100
    assert rows['exact']['sIoU'] == 100
    assert rows['inverted']['F1'] < 50
