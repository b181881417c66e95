"""Money is exact, knows its currency, and never mixes, rounds or guesses."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.money import LIMIT_MINOR, Currency, CurrencyMixError, Money
from refund_domain.testing.strategies import currencies, money

USD = Currency.of("USD")
ZERO_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()
THREE_DECIMALS = "BHD JOD KWD OMR TND".split()
TWO_DECIMALS = "USD EUR GBP CAD HUF TWD ISK UGX MXN INR".split()
EVERY_KIND = [*ZERO_DECIMALS, *THREE_DECIMALS, *TWO_DECIMALS]


class Cents(IntEnum):
    """An int that is not a plain one."""

    TEN = 10


NO_INTS = [True, False, 1.0, 10.5, float("nan"), float("inf"), Decimal(1), Fraction(1), "1", b"1", None, Cents.TEN]
CROSSING: list[Callable[[Money, Money], object]] = [
    operator.add,
    operator.sub,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
]


# --- currencies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "exponent"),
    [(ZERO_DECIMALS, 0), (THREE_DECIMALS, 3), (TWO_DECIMALS, 2)],
    ids=["zero", "three", "two"],
)
def test_a_currency_has_the_decimals_of_the_gateways_table(codes: list[str], exponent: int) -> None:
    """E02: no fixed factor of 100: each currency has its own exponent, HUF, TWD, ISK and UGX two decimals."""
    # failure: E02
    assert {code: Currency.of(code).exponent for code in codes} == dict.fromkeys(codes, exponent)


def test_the_gateways_smallest_step_is_known_for_the_special_currencies() -> None:
    """ISK and UGX go in whole units, the three-decimal ones in tens, all others in single units."""
    steps = {code: Currency.of(code).step_minor for code in EVERY_KIND}
    expected = dict.fromkeys(EVERY_KIND, 1) | dict.fromkeys(THREE_DECIMALS, 10) | {"ISK": 100, "UGX": 100}
    assert steps == expected


@given(currency=currencies())
def test_equal_codes_in_any_case_give_the_same_currency(currency: Currency) -> None:
    """One code, one object: 'usd', 'USD' and 'uSd' are the same currency."""
    code = currency.code
    spellings = [code, code.lower(), code[0].lower() + code[1:]]
    assert all(Currency.of(spelling) is currency for spelling in spellings)
    assert str(currency) == code == code.upper()


@pytest.mark.parametrize(
    "code", ["", "US", "USDT", "U D", "US1", "usd\n", " USD", "ÜSD", "ＵＳＤ", "../", "ſtd", "U" * 300]
)
def test_what_is_not_three_letters_is_no_currency(code: str) -> None:
    """Odd codes are refused, and the message does not repeat them."""
    with pytest.raises(ValueError, match="three letters") as caught:
        Currency.of(code)
    assert len(code) < 3 or code not in str(caught.value)


@pytest.mark.parametrize("code", [None, 840, b"USD", ["USD"], USD, 1.0, True])
def test_what_is_no_text_is_no_currency(code: object) -> None:
    """A currency is named by a str; anything else is a programmer's error."""
    with pytest.raises(TypeError, match="must be a str"):
        Currency.of(code)  # type: ignore[arg-type]


# --- construction ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", NO_INTS, ids=repr)
def test_only_a_plain_int_is_an_amount(amount: object) -> None:
    """E02, E07: bool, float, NaN, Decimal, Fraction, str and int-like enums are refused, never converted."""
    # failure: E07
    with pytest.raises(TypeError, match="amount_minor must be an int of minor units"):
        Money(amount, USD)  # type: ignore[arg-type]


@pytest.mark.parametrize("currency", ["USD", None, 2, b"USD"])
def test_only_a_currency_is_a_currency(currency: object) -> None:
    """A bare code is no Currency: its exponent would have to be guessed."""
    with pytest.raises(TypeError, match="currency must be a Currency"):
        Money(1, currency)  # type: ignore[arg-type]


@pytest.mark.parametrize("sign", [1, -1])
def test_amounts_end_at_the_limit(sign: int) -> None:
    """The limit itself is an amount, one unit more is none, either way."""
    assert Money(sign * 10**15, USD).amount_minor == sign * LIMIT_MINOR
    for beyond in (LIMIT_MINOR + 1, 10**30):
        with pytest.raises(ValueError, match="amount_minor must lie within"):
            Money(sign * beyond, USD)


def test_a_sum_beyond_the_limit_is_refused() -> None:
    """Arithmetic is checked like construction: no amount leaves the limit through a sum or a difference."""
    most = Money(LIMIT_MINOR, USD)
    with pytest.raises(ValueError, match="must lie within"):
        most + Money(1, USD)
    with pytest.raises(ValueError, match="must lie within"):
        -most - Money(1, USD)


# --- what people write -------------------------------------------------------------------------------------


@given(currency=st.sampled_from(EVERY_KIND).map(Currency.of), minor=st.integers(-LIMIT_MINOR, LIMIT_MINOR))
def test_minor_to_major_to_minor_is_the_identity(currency: Currency, minor: int) -> None:
    """E04, E07: what is written out reads back to the same unit, in every currency of 0, 2, 3 decimals."""
    # failure: E04
    amount = Money(minor, currency)
    assert Money.parse(amount.major, currency.code) == amount


@pytest.mark.parametrize("code", EVERY_KIND)
def test_every_amount_near_nothing_round_trips(code: str) -> None:
    """E07: the identity holds for every single amount where signs and leading zeros could go wrong."""
    for minor in range(-1100, 1101):
        amount = Money(minor, Currency.of(code))
        assert Money.parse(amount.major, code) == amount


@given(amount=money())
def test_major_shows_as_many_decimals_as_the_currency_has(amount: Money) -> None:
    """E05: the text has exactly the currency's decimals and is exactly the amount, by decimal arithmetic."""
    # failure: E05
    whole, _, decimals = amount.major.partition(".")
    assert len(decimals) == amount.currency.exponent
    assert Decimal(amount.major) == Decimal(amount.amount_minor).scaleb(-amount.currency.exponent)
    assert whole in (str(int(whole)), "-0")  # no plus, no space, no zeros in front
    assert whole.startswith("-") == (amount.amount_minor < 0)
    assert str(amount) == f"{amount.major} {amount.currency.code}"


@given(
    code=st.sampled_from(EVERY_KIND),
    whole=st.from_regex(r"-?[0-9]{1,16}", fullmatch=True),
    decimals=st.text("0123456789", max_size=5),
)
def test_parse_is_exact_or_refuses(code: str, whole: str, decimals: str) -> None:
    """E02: what parse returns is the number written, by decimal arithmetic; what it cannot hold is refused."""
    # failure: E02
    text = f"{whole}.{decimals}" if decimals else whole
    exact = Decimal(text).scaleb(Currency.of(code).exponent)
    try:
        amount = Money.parse(text, code)
    except ValueError:
        assert len(decimals) > Currency.of(code).exponent or abs(exact) > LIMIT_MINOR
    else:
        assert amount.amount_minor == exact
        assert len(decimals) <= Currency.of(code).exponent


@pytest.mark.parametrize(
    ("text", "code", "minor"),
    [("1.5", "USD", 150), ("1.05", "USD", 105), ("1", "USD", 100), ("0.5", "KWD", 500), ("7", "JPY", 7)],
)
def test_missing_decimals_are_zeros_at_the_end(text: str, code: str, minor: int) -> None:
    """One dollar fifty is no dollar and five cents."""
    assert Money.parse(text, code).amount_minor == minor


NO_NUMBERS = [
    *"NaN nan inf -inf Infinity 1e3 1E-2 +1 .5 5. 1,000 1.000,00 1_000 0x10 1/2 $5 5USD -- - . -.5".split(),
    *["٣", "１", "½", "", " ", " 1", "1 ", "1\n", "1\x00", "- 1", "None", "True"],
    *["1" * 17, "1.0000", "1" * 5000],
]


@pytest.mark.parametrize("text", NO_NUMBERS, ids=range(len(NO_NUMBERS)))
def test_parse_refuses_what_is_no_plain_number(text: str) -> None:
    """E02: bad input becomes an error that does not repeat it, never NaN, nothing or something near."""
    with pytest.raises(ValueError, match="an amount") as caught:
        Money.parse(text, "USD")
    assert len(text) < 4 or text not in str(caught.value)


@pytest.mark.parametrize("value", [1, 1.5, True, Decimal("1.5"), None, b"1", ["1"]], ids=repr)
def test_parse_refuses_what_is_no_text(value: object) -> None:
    """E07: a float or a Decimal is refused, so that whoever has one must say how it is written."""
    with pytest.raises(TypeError, match="must be a str"):
        Money.parse(value, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "code"), [("0.5", "JPY"), ("0.005", "USD"), ("1.00", "KRW"), ("1.2345", "KWD"), ("12.340", "EUR")]
)
def test_a_fraction_of_a_unit_is_refused_not_rounded(text: str, code: str) -> None:
    """E07: more decimals than the currency has are refused, even where they are zeros."""
    with pytest.raises(ValueError):
        Money.parse(text, code)


def test_decimal_fractions_add_up() -> None:
    """E07: a tenth and two tenths are three tenths, which they are not in floats."""
    # failure: E07
    assert Money.parse("0.1", "USD") + Money.parse("0.2", "USD") == Money.parse("0.3", "USD")


@pytest.mark.parametrize(
    ("minor", "code", "text"),
    [
        (0, "USD", "0.00"),
        (0, "JPY", "0"),
        (-5, "USD", "-0.05"),
        (5, "KWD", "0.005"),
        (-1_234_567, "KWD", "-1234.567"),
        (100, "JPY", "100"),
        (50_000, "HUF", "500.00"),
        (150, "UGX", "1.50"),
    ],
)
def test_amounts_are_written_as_people_write_them(minor: int, code: str, text: str) -> None:
    """E05: a few written out: nothing has no sign, small ones keep their zeros, yen have no decimals."""
    assert Money(minor, Currency.of(code)).major == text


# --- arithmetic and order ----------------------------------------------------------------------------------

SMALL = money(currency=USD, min_minor=-(10**12), max_minor=10**12)


@given(a=SMALL, b=SMALL, c=SMALL)
def test_sums_behave_like_sums_of_ints(a: Money, b: Money, c: Money) -> None:
    """Addition is exact, commutes, associates, has a zero and an inverse, and subtraction undoes it."""
    assert (a + b).amount_minor == a.amount_minor + b.amount_minor
    assert (a - b).amount_minor == a.amount_minor - b.amount_minor
    assert (a + b, (a + b) + c) == (b + a, a + (b + c))
    assert a + Money.zero(USD) == a == (a + b) - b
    assert a + -a == Money.zero(USD)
    assert Money.zero(USD) - a == -a


@given(a=SMALL, b=SMALL)
def test_order_is_the_order_of_the_units(a: Money, b: Money) -> None:
    """Exactly one of less, equal, more; all six comparisons agree with those of the ints."""
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        assert compare(a, b) == compare(a.amount_minor, b.amount_minor)
    assert [a < b, a == b, a > b].count(True) == 1
    assert sorted([a, b]) == sorted([a, b], key=lambda amount: amount.amount_minor)


@given(a=money(), b=money(), of=st.sampled_from(CROSSING))
def test_currencies_never_meet(a: Money, b: Money, of: Callable[[Money, Money], object]) -> None:
    """E07: adding or comparing two currencies raises, always; they are merely unequal."""
    if a.currency == b.currency:
        b = Money(b.amount_minor, Currency.of("EUR" if a.currency is USD else "USD"))
    with pytest.raises(CurrencyMixError, match="nothing is converted"):
        of(a, b)
    assert a != b


@pytest.mark.parametrize("of", CROSSING)
@pytest.mark.parametrize("other", [1, 1.0, "1.00 USD", None, Decimal(1), True], ids=repr)
def test_a_bare_number_is_no_money(of: Callable[[object, object], object], other: object) -> None:
    """Money neither adds to nor compares with a number, from either side; it equals none."""
    amount = Money(1, USD)
    for left, right in ((amount, other), (other, amount)):
        with pytest.raises(TypeError):
            of(left, right)
    assert amount != other


@pytest.mark.parametrize("of", [operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow])
def test_money_is_not_multiplied_or_divided(of: Callable[[object, object], object]) -> None:
    """There is no operation that could leave a fraction of a unit."""
    with pytest.raises(TypeError):
        of(Money(5, USD), 2)
    with pytest.raises(TypeError):
        float(Money(5, USD))  # type: ignore[arg-type]


@given(a=money())
def test_money_that_was_pickled_still_adds(a: Money) -> None:
    """A copy made by another process has its own Currency object, and is the same money all the same."""
    copy = pickle.loads(pickle.dumps(a))
    assert copy == a
    assert (copy - a).amount_minor == 0
    assert hash(copy) == hash(a)
