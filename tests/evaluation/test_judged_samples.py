"""What the metrics see of a SegDataSample."""

import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_ddu.evaluation import CountedMetric
from mmseg_ddu.evaluation.judged_samples import judge


def sample_of(ood, novelty=3.0):
    ood = torch.tensor([ood])
    label = torch.tensor([[[0, 1, 2, 255]]]).where(ood == 0, 255)
    metainfo = dict(image_novelty=torch.tensor(novelty))
    metainfo['image_novelty_percentile'] = torch.tensor(0.75)
    sample = SegDataSample(metainfo=metainfo)
    fields = dict(
        gt_sem_seg=label,
        gt_ood_map=ood,
        pred_sem_seg=torch.tensor([[[0, 0, 2, 2]]]),
        seg_logits=torch.rand(3, 1, 4),
    )
    sample.set_data({k: PixelData(data=v) for k, v in fields.items()})
    return sample


def test_masks_and_novelty():
    image = judge(sample_of([[0, 0, 1, 0]]).to_dict())
    assert image.known.tolist() == [[True, True, False, False]]
    assert image.right.tolist() == [[True, False, False, False]]
    assert image.wrong.tolist() == [[False, True, False, False]]
    assert image.unlabelled.tolist() == [[False, False, False, True]]
    assert image.strange['ood'].tolist() == [[False, False, True, False]]
    assert (image.novelty, image.novelty_percentile) == (3, 0.75)
    thin = judge(sample_of([[0, 0, 1, 0]]).to_dict(), 2, stride=2)
    assert thin.labels.tolist() == [[0, 255]]
    assert thin.logits.shape == (3, 1, 2)


def test_the_evaluator_sees_the_novelty_of_shifted_images():
    """As of WithShift: all of the image is out of distribution."""
    evaluator = Evaluator(CountedMetric('novelty'))
    plain, shifted = [[0, 0, 1, 255]], [[1, 1, 1, 255]]
    samples = [sample_of(plain, 2.0), sample_of(shifted, 5.0)]
    evaluator.process(samples + [sample_of(plain, 1.0)])
    assert evaluator.evaluate(3) == {
        'novelty/percentile': 0.75,
        'novelty/shifted_percentile': 0.75,
        'novelty/AUROC': 100,
    }
