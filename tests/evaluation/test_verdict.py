"""Sentences that a practitioner understands, with their figures."""

from mmseg_ddu.evaluation.verdict import verdict


def metrics_of(**maps):
    """Map to AUROC of wrong pixels and of strange ones, and the risk."""
    metrics = {'mIoU': 71.23, 'calibration/ECE': 3.14}
    for name, (mis, ood, risk) in maps.items():
        start = f'uncertainty/{name}_'
        metrics[f'{start}mis_share'] = 7.11
        metrics[f'{start}mis_risk90'] = risk
        metrics[f'{start}mis_AUROC'] = mis
        if ood is not None:
            metrics[f'{start}ood_AUROC'] = ood
    return metrics


def test_good_maps():
    metrics = metrics_of(total=(93.1, 81.0, 2.9), aleatoric=(94.0, 75.4, 2.8))
    assert verdict(metrics) == [
        'The network has a mIoU of 71.2 and is 3.1 percentage points too '
        'sure or too unsure on average (ECE).',
        'aleatoric finds wrong pixels with an AUROC of .94; refusing the '
        'most uncertain 10% of pixels lowers the error from 7.1% to 2.8%. '
        'aleatoric ranks unknown objects above ordinary pixels with .75.',
        'total finds wrong pixels with an AUROC of .93 (aleatoric .94); '
        'refusing the most uncertain 10% of pixels lowers the error from '
        '7.1% to 2.9%. total ranks unknown objects above ordinary pixels '
        'with .81.',
    ]


def test_worse_than_chance_says_what_to_do():
    lines = verdict(
        metrics_of(
            aleatoric=(94, 45, 3), epistemic=(41, 38, 8), total=(90, 71, 4)
        )
    )
    assert 'aleatoric ranks unknown objects below' in lines[1]
    assert lines[2] == (
        'epistemic ranks wrong pixels below right ones (AUROC .41, chance is '
        '.50); use aleatoric (.94) for them. epistemic ranks unknown objects '
        'below ordinary pixels (AUROC .38, chance is .50); use total (.71) '
        'for them.'
    )
    (_, line, advice) = verdict(metrics_of(epistemic=(41, None, 8)))
    assert line.endswith('no map of this model does better.')
    assert 'look at the maps of a few images' in advice
    (_, line) = verdict(metrics_of(epistemic=(60, None, 7.2)))
    assert line.endswith('does not lower the error of 7.1%.')


def test_novelty():
    metrics = {'novelty/percentile': 0.48}
    assert verdict(metrics) == [
        'By image_novelty the test images are on average stranger than 48% '
        'of the training images (50% is usual).'
    ]
    metrics.update({'novelty/percentile': 0.95, 'novelty/AUROC': 97.3})
    (line,) = verdict(metrics)
    assert 'expect more errors' in line
    assert line.endswith('it tells shifted images with an AUROC of .97.')
    metrics.update(metrics_of(epistemic=(60, 55, 5)))
    assert 'pixels of shifted images above' in verdict(metrics)[1]
    metrics['novelty/AUROC'] = 31.0
    assert 'worse than chance' in verdict(metrics)[-1]


def test_nothing_to_say():
    assert verdict({}) == []
