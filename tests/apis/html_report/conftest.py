"""Exports of two methods and a comparison, on the small sample."""

import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_ddu.apis import compare, export, write_report
from mmseg_ddu.engine.checkpoint import save_checkpoint
from mmseg_ddu.engine.fit import fit_gda
from mmseg_ddu.models.convert import to_plain_model
from mmseg_ddu.registry import DATASETS, MODELS
from tests.conftest import CONFIGS, DEMO, shrink
from tests.stand_in import make_stand_in

BINARIES = ('chromium', 'chromium-browser', 'google-chrome')


@pytest.fixture(scope='session')
def config(sample_root, tmp_path_factory):
    """A config file of a small network on the sample."""
    init_default_scope('mmseg')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DDU_SAMPLE', str(sample_root))
        cfg = shrink(Config.fromfile(CONFIGS / 'ddu' / f'ddu_{DEMO}'))
    path = tmp_path_factory.mktemp('config') / 'config.py'
    cfg.dump(path)
    return path


@pytest.fixture(scope='session')
def weights(config, tmp_path_factory):
    """Random weights with fitted densities."""
    folder = tmp_path_factory.mktemp('weights')
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    model = MODELS.build(to_plain_model(cfg.model))
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    meta = dict(dataset_meta=dict(cfg.metainfo))
    save_checkpoint(folder / 'a.pth', model.state_dict(), meta)
    return fit_gda(cfg, folder / 'a.pth', folder / 'fitted.pth')


@pytest.fixture(scope='session')
def test_images(config):
    """Image to mask file, as the config's data set lists them."""
    init_default_scope('mmseg')
    dataset = DATASETS.build(Config.fromfile(config).test_dataloader.dataset)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return {info['img_path']: info['seg_map_path'] for info in infos}


@pytest.fixture(scope='session')
def exports(test_images, tmp_path_factory):
    """Name of the method to its folder of maps."""
    folder = tmp_path_factory.mktemp('exports')
    for channel, name in enumerate(('red', 'blue')):
        (folder / f'of_{name}').mkdir()
        args = make_stand_in(folder / f'of_{name}', channel=2 * channel)
        export(*args, list(test_images), folder / name, pictures=False)
    return {name: folder / name for name in ('red', 'blue')}


@pytest.fixture(scope='session')
def compared(config, weights, tmp_path_factory):
    """A comparison without pictures, one row of which failed."""
    folder = tmp_path_factory.mktemp('compared')
    methods = [
        f'entropy={weights}',
        f'ddu={weights}',
        'energy=/<b>absent</b>.pth',
    ]
    compare(
        config,
        methods,
        folder,
        shifts=['none'],
        max_images=2,
        timing_images=1,
        pictures=False,
    )
    return folder


@pytest.fixture(scope='session')
def page(config, compared, exports, tmp_path_factory):
    """The whole page."""
    return write_report(
        compared,
        maps=exports,
        config=config,
        out=tmp_path_factory.mktemp('page') / 'all.html',
        title='A </title> & more',
    )


@pytest.fixture(scope='session')
def chromium():
    webdriver = pytest.importorskip(
        'selenium.webdriver', reason='selenium is not installed'
    )
    from selenium.webdriver.chrome.service import Service

    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    driver = shutil.which('chromedriver')
    if binary is None or driver is None:
        pytest.skip('there is no Chromium with chromedriver')
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ('--headless=new', '--no-sandbox', '--disable-gpu'):
        options.add_argument(flag)
    logs = {'browser': 'ALL', 'performance': 'ALL'}
    options.set_capability('goog:loggingPrefs', logs)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    browser.set_script_timeout(20)
    yield browser
    browser.quit()
