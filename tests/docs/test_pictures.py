"""The pictures of the documentation are what the code draws today."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from tests.docs.pictures import FOLDER, PICTURES, draw, told

MOST_BYTES = 20_000
NOTICED = 0.02
"""How far two pictures may differ on average, of 1: fonts are drawn a little otherwise by each Matplotlib."""


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_what_is_drawn_today(tmp_path: Path, name: str) -> None:
    """The file in the repository shows what is drawn now; `python -m tests.docs.pictures` writes it anew."""
    draw(PICTURES[name], tmp_path / name)
    kept, now = imread(FOLDER / name), imread(tmp_path / name)
    assert kept.shape == now.shape
    assert float(np.abs(kept - now).mean()) < NOTICED
    with Image.open(FOLDER / name) as picture:
        assert picture.info["Description"] == told(PICTURES[name])


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_small(name: str) -> None:
    """A page loads it at once, and it is 600 pixels wide, as it is meant to be read."""
    assert (FOLDER / name).stat().st_size < MOST_BYTES
    assert imread(FOLDER / name).shape[1] == 600


def test_every_picture_is_drawn_by_the_code() -> None:
    """No picture lies in the documentation that nobody can draw again."""
    docs = FOLDER.parent
    found = {path.name for ending in ("png", "svg", "jpg") for path in docs.rglob(f"*.{ending}")}
    assert found == set(PICTURES)
