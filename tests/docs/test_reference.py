"""The reference pages say what the code says."""

from __future__ import annotations

import pytest

from tests.docs.reference import PAGES, pages


@pytest.mark.parametrize("name", sorted(pages()))
def test_page_is_up_to_date(name: str) -> None:
    """Each generated page is what the code's tables give now."""
    assert (PAGES / name).read_text() == pages()[name]
