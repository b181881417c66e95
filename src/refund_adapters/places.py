"""Places in a tenant's history, named alike by every journal of ours: `12 platform/ch_1`, version and stream."""

from __future__ import annotations

from typing import Final

from refund_domain._checks import check_type

NOT_THERE: Final = "an event to erase is not the tenant's, or not there; nothing was changed"
NO_ERASURE: Final = (
    "an event to put in place differs in more than names and notes that are gone; nothing was changed"
)
ANOTHER_ERASURE: Final = (
    "another erasure of this tenant was begun and not ended: run that one again first, or erase everybody"
)


def place_of(stream: str, version: int) -> str:
    """How this place is named.

    >>> place_of("platform/ch_1", 12)
    '12 platform/ch_1'
    """
    return f"{version} {stream}"


def place(after: object) -> tuple[str, int]:
    """The stream and version that are named, before all of them for the empty text. ValueError for any other.

    >>> place("12 platform/ch_1"), place("")
    (('platform/ch_1', 12), ('', 0))
    """
    check_type(after, str, "after")
    if after == "":
        return "", 0
    version, _, stream = str(after).partition(" ")
    if not (version.isascii() and version.isdigit() and len(version) < 19 and stream):
        raise ValueError("after must be a position that this journal's history gave, or empty for the beginning")
    return stream, int(version)
