"""The picture of a payout adds up, is readable at 600 pixels, and tells nothing by colour alone."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from refund_adapters.plots import LOOKS, plot_statement
from refund_adapters.statements.steps import Kind, steps
from refund_domain.payouts.statement import PayoutStatement
from tests.adapters.payout_cases import CASES, STORY, made_of, refunds

WIDTH = 600
Rgb = tuple[float, float, float]


def bars(ax: Axes) -> list[Rectangle]:
    """The bars, from top to bottom."""
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def drawn(ax: Axes) -> tuple[FigureCanvasAgg, list[tuple[str, Bbox]]]:
    """The figure on its canvas, and every text in it with the pixels it covers."""
    figure = ax.figure
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    texts = figure.findobj(Text)
    return canvas, [
        (text.get_text(), text.get_window_extent()) for text in texts if text.get_visible() and text.get_text()
    ]


@pytest.mark.parametrize("statement", CASES.values(), ids=CASES)
def test_bars_add_up_to_the_payout(statement: PayoutStatement) -> None:
    """Each bar begins where the one before it ended and is as long as its amount: to the minor unit."""
    ax = plot_statement(statement)
    drawn_bars = bars(ax)
    first, *changes, last = [(round(bar.get_x()), round(bar.get_width())) for bar in drawn_bars]
    assert first == (0, statement.expected.amount_minor)
    at = statement.expected.amount_minor
    for begin, change in changes:
        assert begin == at
        at += change
    assert last == (0, at)
    assert at == statement.paid.amount_minor
    assert [bar.get_width() for bar in drawn_bars] == [step.amount.amount_minor for step in steps(statement)]


@pytest.mark.parametrize("statement", CASES.values(), ids=CASES)
def test_texts_are_whole_and_lie_over_nothing(statement: PayoutStatement) -> None:
    """At 600 pixels no two texts overlap, none leaves the picture, and no amount lies over its bar."""
    ax = plot_statement(statement)
    canvas, texts = drawn(ax)
    width, height = canvas.get_width_height()
    assert width == WIDTH
    for text, box in texts:
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text
    for (one, its), (other, others) in itertools.combinations(texts, 2):
        assert not its.overlaps(others), f"{one!r} lies over {other!r}"
    amounts = [text.get_window_extent() for text in ax.texts[:-1]]  # the last is the heading
    for bar, amount in zip(bars(ax), amounts, strict=True):
        assert amount.x0 >= max(bar.get_window_extent().x0, bar.get_window_extent().x1)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Matplotlib is missing, the error names the extra."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'refund-domain\[plots\]'"):
        plot_statement(STORY)


@pytest.mark.parametrize("statement", CASES.values(), ids=CASES)
def test_every_amount_is_written_with_its_sign(statement: PayoutStatement) -> None:
    """Beside each bar stands its amount with the currency's decimals; every change bears a sign."""
    ax = plot_statement(statement)
    written = [text.get_text() for text in ax.texts[:-1]]
    for text, step in zip(written, steps(statement), strict=True):
        assert text.replace("\N{MINUS SIGN}", "-").lstrip("+") == step.amount.major
        assert step.is_sum or text[0] in "+\N{MINUS SIGN}"


def names(statement: PayoutStatement) -> list[str]:
    """The names at the left, on one line each."""
    return [text.get_text().replace("\n", " ") for text in plot_statement(statement).get_yticklabels()]


def test_story_is_told() -> None:
    """Expected 500.00, 200.00 back to booking 1042, 300.00 paid: in the headline, the names and the amounts."""
    ax = plot_statement(STORY)
    assert ax.get_title(loc="left") == "300.00 USD instead of 500.00 USD"
    assert names(STORY) == ["Expected", "Refund: booking 1042", "Paid out"]
    assert [text.get_text() for text in ax.texts][:3] == ["500.00", "\N{MINUS SIGN}200.00", "300.00"]


def test_oddities_are_named() -> None:
    """A bank debit, what is unexplained, another currency and the refunds without a bar are told in words."""
    assert names(CASES["a bank debit"])[-1] == "Taken from the bank account"
    assert "Not explained" in names(CASES["a cent too much"])
    assert "Refund: booking 1042 (200.00 EUR)" in names(CASES["two currencies"])
    assert "5 more refunds" in names(CASES["twelve long names"])
    assert names(made_of(refunds(8))).count("Payout") == 0
    shown = plot_statement(CASES["an estimate"]).texts[-1].get_text().replace("\n", " ")
    assert shown.endswith("in transit: an estimate by dates")
    assert "estimate" not in plot_statement(STORY).texts[-1].get_text()


def test_host_may_bring_its_own_axes() -> None:
    """Given axes are drawn in and returned, and the rest of their figure stays as it is."""
    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    assert plot_statement(STORY, right) is right
    assert len(bars(right)) == 3
    assert bars(left) == []
    assert tuple(figure.get_size_inches()) == (9, 4)


def test_what_is_no_statement_is_refused() -> None:
    """A payout that is not explained cannot be drawn."""
    with pytest.raises(TypeError, match="statement"):
        plot_statement(STORY.payout)  # type: ignore[arg-type]


def test_nothing_of_the_process_is_touched() -> None:
    """Drawing and saving loads no pyplot, chooses no backend and changes no setting."""
    code = (
        "import io, sys, matplotlib\n"
        "from tests.adapters.payout_cases import STORY\n"
        "from refund_adapters.plots import plot_statement\n"
        "before = matplotlib.rcParams.copy()\n"
        "plot_statement(STORY).figure.savefig(io.BytesIO(), format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_the_extra_the_error_names_the_package() -> None:
    """Importing the module needs nothing; drawing without Matplotlib is an ImportError that names it."""
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from tests.adapters.payout_cases import STORY\n"
        "from refund_adapters.plots import plot_statement\n"
        "plot_statement(STORY)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "matplotlib" in done.stderr
    assert done.returncode == 1


# --- without colour, and for those who see other colours -------------------------------------------------------

SIGHTS: dict[str, tuple[Rgb, Rgb, Rgb]] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritanopia": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}
"""How colours look to people who lack one kind of cone (Machado, Oliveira and Fernandes, 2009), in linear RGB."""
TOLD_APART = 30.0
"""A distance in CIELAB; 2.3 is just noticeable."""


def linear(colour: str) -> Rgb:
    """The colour's light, without the gamma."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colors.to_rgb(colour)
    )
    return red, green, blue


def lab(light: Rgb) -> Rgb:
    """The colour in CIELAB, under daylight."""
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    scaled = [
        sum(part * share for part, share in zip(light, row, strict=True)) / of
        for row, of in zip(rows, white, strict=True)
    ]
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in scaled)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def seen(colour: str, sight: str) -> Rgb:
    """The colour in CIELAB as this sight has it."""
    light = linear(colour)
    red, green, blue = (
        min(1.0, max(0.0, sum(part * share for part, share in zip(light, row, strict=True))))
        for row in SIGHTS[sight]
    )
    return lab((red, green, blue))


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_are_told_apart_by_every_sight(sight: str) -> None:
    """No two colours come near one another, whichever kind of cone is missing."""
    for one, other in itertools.combinations(sorted({look.colour for look in LOOKS.values()}), 2):
        pairs = zip(seen(one, sight), seen(other, sight), strict=True)
        assert sum((mine - yours) ** 2 for mine, yours in pairs) ** 0.5 > TOLD_APART, (one, other)


def test_colours_stand_out_from_the_ground() -> None:
    """Every colour has a contrast of 3 : 1 with white at least, what WCAG asks of graphics."""
    for look in LOOKS.values():
        red, green, blue = linear(look.colour)
        assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 3, look


def test_each_kind_has_a_hatch_of_its_own() -> None:
    """In black and white, too, a sum, what was taken, what was added and what is unexplained differ."""
    assert set(LOOKS) == set(Kind)
    hatches = {look.hatch for kind, look in LOOKS.items() if kind is not Kind.PAID}
    assert len(hatches) == len(Kind) - 1
    for bar, step in zip(bars(plot_statement(CASES["everything"])), steps(CASES["everything"]), strict=True):
        assert (bar.get_hatch() or "") == LOOKS[step.kind].hatch
