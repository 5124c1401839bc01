"""What a card says, and on what its advice rests."""

import pytest

from mmseg_ddu.apis.model_check.fit_sentences import (
    ENOUGH_IMAGES,
    ENOUGH_VECTORS,
    GAIN,
    WIDER,
    gaussians,
    several,
)
from mmseg_ddu.apis.model_check.sentences import (
    UNSTABLE,
    modes_agree,
    sentence_of_epistemic,
)


def advice(**changes):
    row = dict(
        few=False,
        vectors_fitted=5000,
        distance=WIDER + 1,
        vectors_held_out=ENOUGH_VECTORS,
        images_held_out=ENOUGH_IMAGES,
    )
    fit = dict(images_fitted=80, classes=dict(cow={**row, **changes}))
    return gaussians(dict(fit=fit))


def test_fit_on_more_says_on_what_it_rests():
    (line,) = advice()
    told = f'cow ({ENOUGH_VECTORS} vectors of {ENOUGH_IMAGES} images)'
    assert told in line and line.endswith('fit on more.')


@pytest.mark.parametrize(
    'changes',
    [
        dict(vectors_held_out=ENOUGH_VECTORS - 1),
        dict(images_held_out=ENOUGH_IMAGES - 1),
        dict(distance=WIDER),
        dict(distance=None),
    ],
)
def test_too_little_advises_nothing(changes):
    assert advice(**changes) == []


def test_a_class_that_the_fit_saw_little_of():
    (line,) = advice(few=True, vectors_fitted=12, distance=1.0)
    assert 'of 80 images' in line and 'cow (12 vectors)' in line


def test_a_mixture_is_suggested_where_it_gains():
    fit = dict(components=1, classes_gaining=3, classes_compared=4)
    (line,) = several(dict(fit=dict(fit, several_gain=GAIN + 0.1)))
    assert 'by 0.60 nats' in line and '(3 of 4 classes gain)' in line
    assert '--gda-options components=4' in line
    (line,) = several(dict(fit=dict(fit, several_gain=-0.2)))
    assert 'less probable, by 0.20' in line and line.endswith('is enough.')
    assert several(dict(fit=dict(fit, several_gain=None))) == []
    assert several(dict(fit=dict(fit, several_gain=1, components=4))) == []


def value(figure):
    return dict(value=figure, low=None, high=None)


def of_epistemic(shift, patch, blur=0.9):
    kinds = dict(blur=dict(auroc=dict(epistemic=value(blur))))
    means = dict(epistemic=value(shift), aleatoric=value(0.7))
    return sentence_of_epistemic(
        dict(
            shifts=dict(mean=means, kinds=kinds, images=9),
            pasted=dict(auroc=dict(epistemic=value(patch)), images=8),
        )
    )


def test_what_cannot_be_judged_does_not_hide_what_can():
    both = of_epistemic(0.84, 0.7)
    assert 'sees changed images' in both
    assert 'sees somewhat patches' in both and '.70, 8 images' in both
    patches = of_epistemic(None, 0.7, None)
    assert 'changed images' not in patches
    assert 'The epistemic map sees somewhat patches' in patches
    shifts = of_epistemic(0.65, None, 0.5)
    assert 'blur (.50)' in shifts and 'Entropy alone' in shifts
    assert 'patches that' not in shifts
    assert 'cannot be judged' in of_epistemic(None, None, None)


def test_one_mode_is_advised_unless_few_flags_hang_on_it():
    order = dict(value=0.9, low=0.85, high=0.95)

    def said(**flips):
        modes = dict(images=12, correlation=order, flips=flips)
        return modes_agree(dict(modes=modes))

    (line,) = said(value=0.1, low=0.0, high=UNSTABLE)
    assert '.90, .85 to .95 over 12 images' in line
    assert '10.0% (0.0% to 20.0%) are lost.' in line
    (line,) = said(value=0.1, low=0.0, high=UNSTABLE + 0.01)
    assert line.endswith('always predict in the mode of the fit.')
    (line,) = said(value=UNSTABLE + 0.01, low=None, high=None)
    assert line.endswith('always predict in the mode of the fit.')
    assert said(value=None, low=None, high=None) == []
    assert modes_agree(dict(modes=dict(images=0))) == []
