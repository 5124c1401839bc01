"""The networks of the proof, and where their files are expected."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Network:
    """A network that comes with a plain mmseg config.

    Attributes:
        config (str): Name of its config in the folder of networks, or its
            path below the root of the project.
        data (Mapping): Name of an environment variable in the config to a
            folder below the folder of data.
        unknown (Mapping): Name of a set of unknown objects to the values
            that it has in the mask files.
        other (str): Function of ``foreign_data`` with images of another
            kind.
        members (int): Networks of the config to train here, from as many
            seeds, where there are no weights; together an ensemble.
        fit_images (int, optional): Of a fit; all if it does not say.
        images (int): That are judged, as they are.
        shift_images (int): That are judged with each shift.
    """

    config: str
    weights: str
    data: Mapping[str, str]
    unknown: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    other: str = 'camvid'
    members: int = 0
    fit_images: int | None = None
    images: int = 80
    shift_images: int = 20


NEAR = (13, 17)  # horse, sheep
FAR = (1, 2, 3, 4, 5, 6, 7, 9, 11, 14, 16, 18, 19, 20)
HALF_TRAINED = Network(
    'configs/ddu/ddu_deeplabv3plus_mobilenet-v2-d16_1xb8-3k_'
    'voc-animals5-192x192.py',
    'deeplabv3plus_mnv2_voc5.pth',
    dict(VOC_ANIMALS='voc_animals'),
    dict(near=NEAR, far=FAR),
    fit_images=400,
)

NETWORKS = {
    'deeplabv3_mnv2_voc21': Network(
        'deeplabv3_mnv2_voc21.py',
        'deeplabv3_mnv2_voc21.pth',
        dict(VOC21='voc21'),
    ),
    'cgnet_camvid11': Network(
        'cgnet_camvid11.py',
        'cgnet_camvid11.pth',
        dict(CAMVID='camvid'),
        other='voc21',
    ),
    'upernet_mnv2_camvid9': Network(
        'upernet_mnv2_camvid9.py',
        'upernet_mnv2_camvid9.pth',
        dict(CAMVID='camvid'),
        dict(car_sign=(6, 8)),
        other='voc21',
    ),
    'deeplabv3plus_mnv2_voc5': HALF_TRAINED,
    'deeplabv3plus_mnv2_voc5_long': replace(
        HALF_TRAINED, weights='deeplabv3plus_mnv2_voc5_long.pth'
    ),
    'deeplabv3plus_mnv2_camvid9': Network(
        'benchmarks/training/deeplabv3plus_mnv2_camvid9.py',
        'mobilenet_v2_imagenet.pth',
        dict(CAMVID='camvid'),
        dict(car_sign=(6, 8)),
        other='voc21',
        members=3,
        images=30,
        shift_images=6,
    ),
}


def files(
    network: Network, networks: Path, weights: Path, data: Path
) -> tuple[Path, Path]:
    """Config and weights; sets the environment that the config reads.

    Raises:
        FileNotFoundError: If one of them, or a folder of data, is absent.
    """
    root = Path(__file__).resolve().parents[2]
    below = root if '/' in network.config else networks
    needed = [below / network.config, weights / network.weights]
    for variable, folder in network.data.items():
        needed.append(data / folder)
        os.environ[variable] = str(needed[-1].resolve())
    missing = [str(path) for path in needed if not path.exists()]
    if missing:
        raise FileNotFoundError(f'Expected {", ".join(missing)}.')
    if str(networks) not in sys.path:  # configs import their modules
        sys.path.insert(0, str(networks))
    return needed[0], needed[1]
