"""`refunds demo`: one office, two bookings, and everything a refund can meet, told in a few seconds.

`story` plays it on the public face and yields what was said, called and returned; `screen` prints that with
Rich (extra `demo`). Nothing is told of an outcome that a call did not return.
"""

from __future__ import annotations

from refund_adapters.demo.scene import Call, Chapter, Drawn, Got, Said, Scene
from refund_adapters.demo.story import story

__all__ = ["Call", "Chapter", "Drawn", "Got", "Said", "Scene", "story"]
