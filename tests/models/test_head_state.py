"""State of the density head from files: formats, and what is refused."""

import math

import pytest
import torch

from mmseg_ddu.models import GDAHead
from mmseg_ddu.models.head_state import FORMAT

from .test_gda_head import features, fit

# Format 1, by hand: two classes in two dimensions, unit covariances, one
# never-seen third class; the view is the paper's.
OLD = {
    'fitted': True,
    'temperature': 1.0,
    'view_mean': [0.0],
    'view_std': [1.0],
    'view_threshold': [0.0],
    'score_quantiles': [i / 100 for i in range(1001)],
    'views.0.density.means': [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]],
    'views.0.density.precisions_cholesky': [[[1.0, 0.0], [0.0, 1.0]]] * 3,
    'views.0.density.log_dets': [0.0, 0.0, 0.0],
    'views.0.density.log_priors': [-math.log(2), -math.log(2), -math.inf],
    'views.0.density.offset': [2.0, 0.0],
    'views.0.density.residual_variance': 0.0,
    'views.0.density.basis': [],
    'views.0.density.fitted': True,
    'views.0.density.class_count': [5, 7, 0],
}


def old_state():
    return {key: torch.tensor(value) for key, value in OLD.items()}


def paper_head():
    return GDAHead(3, views='ddu-paper', channels=2)


def test_a_state_without_a_number_is_format_1():
    head = paper_head()
    head.load_state_dict(old_state())
    assert int(head.format_version) == FORMAT
    point = torch.tensor([2.5, 1.0]).reshape(1, 2, 1, 1)
    # Distances of the point to the means (1, 0) and (3, 0).
    mixture = sum(math.exp(-d / 2) for d in (1.5**2 + 1, 0.5**2 + 1)) / 2
    expected = math.log(2 * math.pi) - math.log(mixture)
    score = float(head(dict(penultimate=point)))
    assert score == pytest.approx(expected, rel=1e-5)
    assert head.percentile(torch.tensor(5.0)) == pytest.approx(0.5)


def test_an_old_state_inside_a_model():
    """mmengine's own loader, not strict, under a prefix."""
    from mmengine.runner.checkpoint import load_state_dict

    model = torch.nn.ModuleDict(dict(gda_head=paper_head()))
    state = {f'gda_head.{key}': value for key, value in old_state().items()}
    load_state_dict(model, state)
    assert int(model['gda_head'].format_version) == FORMAT
    assert bool(model['gda_head'].fitted)
    assert 'gda_head.format_version' not in state  # the given one is as it was


def test_the_number_is_in_the_state():
    state = paper_head().state_dict()
    assert int(state['format_version']) == FORMAT == 2


@pytest.mark.parametrize(
    'value, match',
    [
        (torch.tensor(FORMAT + 1), 'upgrade mmseg_ddu'),
        (torch.tensor(0), 'format number'),
        (torch.tensor(1.0), 'one integer'),
        (torch.ones(2, dtype=torch.int64), 'one integer'),
        (torch.tensor(True), 'one integer'),
    ],
)
def test_formats_that_are_not_known(value, match):
    state = dict(old_state(), format_version=value)
    with pytest.raises(ValueError, match=match):
        paper_head().load_state_dict(state, strict=False)


DENSITY = 'views.0.density.'
WRONG = [
    ('fitted', torch.tensor(1.0)),
    ('fitted', torch.tensor(1)),
    (DENSITY + 'fitted', torch.tensor(False)),
    ('temperature', torch.tensor(0.0)),
    ('temperature', torch.tensor(math.nan)),
    ('view_std', torch.tensor([0.0])),
    ('view_std', torch.tensor([-1.0])),
    ('view_mean', torch.tensor([math.inf])),
    ('score_quantiles', torch.linspace(1, 0, 1001)),
    ('score_quantiles', torch.zeros(3)),
    (DENSITY + 'means', torch.full((3, 2), math.nan)),
    (DENSITY + 'means', torch.zeros(3, 2, dtype=torch.int64)),
    (DENSITY + 'precisions_cholesky', torch.zeros(3, 2, 2)),
    (DENSITY + 'precisions_cholesky', -torch.eye(2).expand(3, 2, 2)),
    (DENSITY + 'log_priors', torch.full((3,), math.nan)),
    (DENSITY + 'log_priors', torch.full((3,), -math.inf)),
    (DENSITY + 'log_priors', torch.full((3,), 1.0)),
    (DENSITY + 'class_count', torch.tensor([5, -7, 0])),
    (DENSITY + 'class_count', torch.tensor([5.0, 7.0, 0.0])),
    (DENSITY + 'offset', torch.full((2,), -math.inf)),
    (DENSITY + 'log_dets', torch.zeros(4)),
]


@pytest.mark.parametrize('key, value', WRONG)
def test_impossible_numbers_are_refused(key, value):
    head = paper_head()
    with pytest.raises(ValueError, match='Fit them again'):
        head.load_state_dict({**old_state(), key: value}, strict=False)
    assert not head.fitted


def test_a_rank_needs_noise():
    head = GDAHead(3, views='ddu-paper', channels=6, rank=2)
    fit(head, dict(penultimate=features()))
    state = head.state_dict()
    other = GDAHead(3, views='ddu-paper', channels=6, rank=2)
    other.load_state_dict(state)
    state[DENSITY + 'residual_variance'] = torch.tensor(0.0)
    with pytest.raises(ValueError, match='residual_variance'):
        other.load_state_dict(state)


@pytest.mark.parametrize('covariance_type', ['full', 'tied', 'diag'])
@pytest.mark.parametrize('views', ['direction', 'class-polar'])
def test_what_a_fit_gives_is_accepted(covariance_type, views):
    """With a class that was never seen, too."""
    options = dict(channels=6, covariance_type=covariance_type, views=views)
    head = GDAHead(4, **options)
    z = dict(penultimate=features(size=30))
    vectors = [view.vectors(z['penultimate']) for view in head.views]
    labels = torch.arange(len(vectors[0])) % 3
    for view, vector in zip(head.views, vectors):
        view.density.fit(vector, labels)
    head.calibrate(vectors, labels)
    head.fitted.fill_(True)
    other = GDAHead(4, **options)
    other.load_state_dict(head.state_dict())
    z['predicted'] = labels.reshape(2, 1, 30, 30)
    assert torch.equal(other(z), head(z))


@pytest.mark.parametrize(
    'options',
    [
        dict(views=[dict(channels=10**9)]),
        dict(views=[dict(tap='x', channels=1 << 16)]),
        dict(views=[dict()] * 33),
        dict(views=[dict(weight=math.nan)]),
        dict(views=[dict(weight='1')]),
        dict(views=[dict(stride=0)]),
        dict(views=[dict(tap=3)]),
        dict(views=[dict(excess=2)]),
        dict(views=[dict(stages=3)]),
        dict(views=[dict(standardize='yes')]),
        dict(rank=0),
        dict(rank=True),
        dict(rank=10**9),
        dict(shrinkage=-1),
        dict(shrinkage='ledoit'),
        dict(shrinkage_target='x'),
        dict(covariance_type=['full']),
        dict(priors='x'),
        dict(reg_covar=0),
        dict(reg_covar=math.inf),
        dict(normalize='no'),
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError):
        GDAHead(3, **{**dict(channels=6, views='ddu-paper'), **options})


def test_a_head_of_many_terabytes_is_not_made():
    with pytest.raises(ValueError, match='GiB. Use a rank'):
        GDAHead(150, views='ddu-paper', channels=1 << 15)
