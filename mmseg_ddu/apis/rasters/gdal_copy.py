"""GDAL's copy of a raster as a program of its own: that can be stopped.

    python gdal_copy.py SOURCE TARGET OPTIONS

OPTIONS are those of ``rasterio.shutil.copy``, as JSON. It ends when its
standard input does, so that it does not outlive whoever started it.
"""

import json
import os
import sys
from threading import Thread


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main() -> None:
    from rasterio.shutil import copy

    source, target, options = sys.argv[1:]
    Thread(target=_end_with_input, daemon=True).start()
    try:
        copy(source, target, **json.loads(options))
    except Exception as error:  # the classes of GDAL's are not public
        sys.exit(f'{error.__cause__ or error}')


if __name__ == '__main__':
    main()
