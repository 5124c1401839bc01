"""Import files, read by the tools they are for."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis.ranking.import_files import IMPORTS
from mmseg_ddu.apis.ranking.import_files.import_file import LOOK_HERE
from mmseg_ddu.apis.ranking.import_files.label_studio import brush
from mmseg_ddu.apis.ranking.ranked_image import RankedImage

CLASSES = ['road', 'cat & <dog>', 'tree']
REFUSED = 255


@pytest.fixture
def images(tmp_path):
    """One of blobs, one all of a class, one with refused pixels."""
    rng = np.random.default_rng(0)
    shapes = (37, 53), (16, 9), (40, 30)
    maps = [np.zeros(shape, np.uint8) for shape in shapes]
    maps[0][:] = np.kron(rng.integers(0, 3, (5, 7)), np.ones((8, 8)))[:37, :53]
    maps[1][:] = 2
    maps[2][10:20] = 1
    maps[2][15:25, 10:] = REFUSED
    found = []
    for number, classes in enumerate(maps):
        path = tmp_path / 'images' / f'ä b#{number}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(classes).save(path)
        found.append(
            RankedImage(
                image=str(path),
                score=3.5 - number,
                size=classes.shape,
                read_classes=lambda classes=classes: classes,
                box=(2, 3, 5, 4) if number < 2 else None,
                label='tree',
                predicted='road',
                kind='wrong border' if number == 1 else '',
            )
        )
    return found


def write(kind, images, tmp_path):
    return IMPORTS.find(kind)(tmp_path / f'out.v1_{kind}', images, CLASSES)


def painted(shape, masks):
    """Masks by name put together; each pixel once."""
    result = np.full(shape, REFUSED)
    for name, mask in masks.items():
        assert (result[mask] == REFUSED).all()
        result[mask] = CLASSES.index(name)
    return result


def test_cvat_by_datumaro(images, tmp_path):
    reader = pytest.importorskip('datumaro', reason='datumaro reads CVAT')
    (path,) = write('cvat', images, tmp_path)
    dataset = reader.Dataset.import_from(str(path), 'cvat')
    names = [
        each.name for each in dataset.categories()[reader.AnnotationType.label]
    ]
    assert names == [*CLASSES, LOOK_HERE]
    items = {Path(item.media.path).name: item for item in dataset}
    assert len(items) == 3
    for image in images:
        item = items[Path(image.image).name]
        kinds = reader.AnnotationType
        masks = {
            names[each.label]: each.image.astype(bool)
            for each in item.annotations
            if each.type == kinds.mask
        }
        expected = image.read_classes()
        assert (painted(image.size, masks) == expected).all()
        boxes = [x for x in item.annotations if x.type == kinds.bbox]
        assert len(boxes) == bool(image.box)
        for box in boxes:
            assert tuple(box.get_bbox()) == image.box
            assert names[box.label] == LOOK_HERE
            assert box.attributes.get('kind', '') == image.kind


def test_cvat_runs(images, tmp_path):
    """The same, decoded by a loop over the numbers."""
    (path,) = write('cvat', images, tmp_path)
    assert path.name == 'out.v1_cvat.xml'
    found = ElementTree.parse(path).getroot().findall('image')
    for image, element in zip(images, found):
        assert element.get('name') == Path(image.image).name
        size = int(element.get('height')), int(element.get('width'))
        assert size == image.size
        masks = {}
        for each in element.findall('mask'):
            left, top, width, height = (
                int(each.get(k)) for k in ('left', 'top', 'width', 'height')
            )
            bits, value = [], False
            for run in each.get('rle').split(','):
                bits += [value] * int(run)
                value = not value
            part = np.reshape(bits, (height, width))
            assert part[0].any() and part[-1].any() and part[:, 0].any()
            mask = np.zeros(size, bool)
            mask[top : top + height, left : left + width] = part
            masks[each.get('label')] = mask
        assert (painted(size, masks) == image.read_classes()).all()
        kinds = [x.text for x in element.findall('box/attribute')]
        assert kinds == ([image.kind] if image.kind else [])


def test_label_studio(images, tmp_path):
    tasks, setup = write('labelstudio', images, tmp_path)
    tasks = json.loads(tasks.read_text())
    for image, task in zip(images, tasks):
        query = parse_qs(urlsplit(task['data']['image']).query)
        assert Path('/', query['d'][0]) == Path(image.image)
        assert task['data']['image_score'] == image.score
        assert task['data']['kind'] == image.kind
        (prediction,) = task['predictions']
        boxes = [
            each['value']
            for each in prediction['result']
            if each['type'] == 'rectanglelabels'
        ]
        assert len(boxes) == bool(image.box)
        for box in boxes:
            height, width = image.size
            assert box['x'] * width == pytest.approx(100 * image.box[0])
            assert box['height'] * height == pytest.approx(100 * image.box[3])
    labels = ElementTree.parse(setup).getroot().find('BrushLabels')
    assert [each.get('value') for each in labels] == CLASSES
    assert setup.read_text().startswith('<View')


def test_label_studio_by_its_sdk(images, tmp_path):
    interface = pytest.importorskip(
        'label_studio_sdk.label_interface', reason='of Label Studio'
    )
    decode = pytest.importorskip('label_studio_sdk.converter.brush').decode_rle
    tasks, setup = write('labelstudio', images, tmp_path)
    view = interface.LabelInterface(setup.read_text())
    for image, task in zip(images, json.loads(tasks.read_text())):
        (prediction,) = task.pop('predictions')
        assert view.validate_task(task)
        assert not view.validate_prediction(prediction, return_errors=True)
        masks = {}
        for each in prediction['result']:
            if each['type'] == 'brushlabels':
                pixels = decode(each['value']['rle'])
                pixels = pixels.reshape(*image.size, 4)
                assert (pixels == pixels[..., :1]).all()
                (name,) = each['value']['brushlabels']
                masks[name] = pixels[..., 3] == 255
        assert (painted(image.size, masks) == image.read_classes()).all()


def decoded(data):
    """rle-pack, bit by bit."""
    bits = ''.join(f'{byte:08b}' for byte in data)
    place = 0

    def read(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        is_run, length = read(1), read(sizes[read(2)]) + 1
        if is_run:
            values += [read(word)] * length
        else:
            values += [read(word) for _ in range(length)]
    assert len(bits) - place < 8
    return values


@pytest.mark.parametrize('shape', [(1, 1), (3, 5), (1, 16384), (130, 600)])
@pytest.mark.parametrize('share', [0.0, 0.001, 0.5, 1.0])
def test_brush_runs(shape, share):
    mask = np.random.default_rng(3).random(shape) < share
    values = np.reshape(decoded(brush(mask)), (*shape, 4))
    assert (values == 255 * mask[..., None]).all()


def test_fiftyone(images, tmp_path):
    (folder,) = write('fiftyone', images, tmp_path)
    samples = json.loads((folder / 'samples.json').read_text())['samples']
    info = json.loads((folder / 'metadata.json').read_text())['info']
    assert list(info['default_mask_targets'].values()) == CLASSES
    for rank, (image, sample) in enumerate(zip(images, samples), 1):
        assert sample['filepath'] == image.image
        assert (sample['rank'], sample['score']) == (rank, image.score)
        assert sample['tags'] == ([image.kind] if image.kind else [])
        with Image.open(sample['prediction']['mask_path']) as opened:
            assert (np.asarray(opened) == image.read_classes()).all()


def test_fiftyone_of_fewer_images(images, tmp_path):
    (folder,) = write('fiftyone', images, tmp_path)
    (folder / 'masks' / 'mine.png').touch()
    write('fiftyone', images[:1], tmp_path)
    left = {file.name for file in (folder / 'masks').iterdir()}
    assert left == {'000001.png', 'mine.png'}


def test_fiftyone_by_its_importer(images, tmp_path):
    """Its data base is not needed to read the folder."""
    data = pytest.importorskip(
        'fiftyone.utils.data.importers', reason='of FiftyOne'
    )
    (folder,) = write('fiftyone', images, tmp_path)
    importer = data.FiftyOneDatasetImporter(str(folder))
    assert importer._is_legacy_format_data()
    importer = importer._to_legacy_importer()
    importer.setup()
    assert len(importer) == 3
    for image, sample in zip(images, importer):
        assert sample.filepath == image.image
        mask = sample.prediction.get_mask()
        assert (mask == image.read_classes()).all()
        assert len(sample.region.detections) == bool(image.box)
        for region in sample.region.detections:
            x, y, width, height = region.bounding_box
            tall, wide = image.size
            box = x * wide, y * tall, width * wide, height * tall
            assert box == pytest.approx(image.box)
            assert region.labelled_as == 'tree'
            assert region.kind == image.kind


def test_predictions_of_another_size(images, tmp_path):
    images[0] = images[0]._replace(size=(5, 5))
    with pytest.raises(ValueError, match='but the image of'):
        write('cvat', images, tmp_path)


def test_names_are_below_the_shared_folder(images, tmp_path):
    other = str(tmp_path / 'more' / 'x.png')
    images[1] = images[1]._replace(image=other)
    (path,) = write('cvat', images, tmp_path)
    names = [x.get('name') for x in ElementTree.parse(path).iter('image')]
    assert names[:2] == ['images/ä b#0.png', 'more/x.png']


@pytest.mark.parametrize(
    'name, held',
    [
        ('a\x01\x1b', r'a\x01\x1b'),
        ('b\ufffe\udcff', r'b\ufffe\udcff'),
        ('c\t\U0001f600', None),
    ],
)
def test_names_that_xml_cannot_hold(images, tmp_path, said, name, held):
    images[1] = images[1]._replace(image=str(tmp_path / 'images' / name))
    (path,) = write('cvat', images, tmp_path)
    names = [x.get('name') for x in ElementTree.parse(path).iter('image')]
    assert names[1] == (held or name)
    assert [repr(name) in line for line in said] == [True] * bool(held)


@pytest.mark.parametrize('kind', ['cvat', 'labelstudio'])
def test_classes_that_xml_cannot_hold(images, tmp_path, said, kind):
    classes = ['road', 'c\x00t', 'tree']
    *_, path = IMPORTS.find(kind)(tmp_path / 'out', images, classes)
    assert r'c\x00t' in ElementTree.tostring(
        ElementTree.parse(path).getroot(), 'unicode'
    )
    assert len(said) == 1 and repr(classes[1]) in said[0]


def test_what_is_in_the_place_of_outputs(images, tmp_path):
    (tmp_path / 'a').touch()
    (tmp_path / 'a.xml').mkdir()
    for name, words in dict(fiftyone='Cannot', cvat='is a folder').items():
        with pytest.raises(OSError, match=words):
            IMPORTS.find(name)(tmp_path / 'a', images, CLASSES)


def test_predicted_classes_without_a_name(images, tmp_path, said):
    IMPORTS.find('cvat')(tmp_path / 'a', images, CLASSES)
    assert not said
    IMPORTS.find('cvat')(tmp_path / 'a', images[:2], CLASSES[:1])
    for line, numbers, image in zip(said, ('[1, 2]', '[2]'), images):
        words = f'{image.image}: the predicted classes {numbers} are not'
        assert line.startswith(words)
    assert len(said) == 2
