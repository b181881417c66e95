"""Money: whole minor units and a currency that knows its exponent. No float, no bool, no mixing.

The exponents are those of Stripe's own table, which is not ISO 4217 (docs/explanation/stripe-facts.md,
"Currencies"). The library never converts between currencies: it refunds a payment's own integer.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

LIMIT_MINOR: Final = 10**15
"""No amount beyond this, either way: far above any payment, far below what a database integer holds."""

_ZERO_DECIMALS: Final = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
_THREE_DECIMALS: Final = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
_WHOLE_UNITS_ONLY: Final = frozenset(["ISK", "UGX"])
_CODE = re.compile(r"[A-Za-z]{3}", re.ASCII)
_MAJOR = re.compile(r"(-?)([0-9]{1,16})(?:\.([0-9]{1,3}))?", re.ASCII)


class CurrencyMixError(ValueError):
    """Two amounts of different currencies met in one calculation; the library never converts."""


@attrs.frozen
class Currency:
    """A currency: its upper-case code, its decimals, and the smallest step the gateway takes.

    Make one with `Currency.of`; equal codes give the same object.

    >>> Currency.of("usd")
    Currency(code='USD', exponent=2, step_minor=1)
    >>> Currency.of("JPY").exponent, Currency.of("KWD").exponent, Currency.of("UGX").step_minor
    (0, 3, 100)
    """

    code: str
    exponent: int
    step_minor: int

    @staticmethod
    def of(code: str) -> Currency:
        """The currency with this three-letter code, in either case.

        Raises TypeError for what is no str, ValueError for what is not three ASCII letters.
        """
        known = _KNOWN.get(code) if type(code) is str else None
        if known is not None:
            return known
        if not isinstance(code, str):
            raise TypeError(f"a currency code must be a str, not {type(code).__name__}")
        if not _CODE.fullmatch(code):
            raise ValueError("a currency code must be three letters, e.g. 'USD'")
        upper = code.upper()
        made = _KNOWN.get(upper)
        if made is None:
            exponent = 0 if upper in _ZERO_DECIMALS else 3 if upper in _THREE_DECIMALS else 2
            step = 100 if upper in _WHOLE_UNITS_ONLY else 10 if exponent == 3 else 1
            made = _KNOWN.setdefault(upper, Currency(upper, exponent, step))
        _KNOWN[code] = made
        return made

    def __str__(self) -> str:
        return self.code


# Bounded by nature: three letters in either case, 52**3 spellings at the very most.
_KNOWN: Final[dict[str, Currency]] = {}


@attrs.frozen(order=False)
class Money:
    """An exact amount: `amount_minor` whole minor units (cents, yen, fils) of one currency.

    Takes a plain int and a Currency. Refuses bool, float, str, Decimal (TypeError) and amounts beyond
    `LIMIT_MINOR` (ValueError). Adding or comparing two currencies raises `CurrencyMixError`. May be
    negative: a payout line is signed.

    >>> usd = Currency.of("USD")
    >>> Money(50_000, usd) - Money(20_000, usd)
    Money(amount_minor=30000, currency=Currency(code='USD', exponent=2, step_minor=1))
    >>> str(Money(30_000, usd)), str(Money(500, Currency.of("JPY")))
    ('300.00 USD', '500 JPY')
    >>> Money(1, usd) + Money(1, Currency.of("EUR"))
    Traceback (most recent call last):
    ...
    refund_domain.money.CurrencyMixError: EUR cannot be added to or compared with USD: nothing is converted
    """

    amount_minor: int
    currency: Currency

    def __attrs_post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise TypeError(f"amount_minor must be an int of minor units, not {type(self.amount_minor).__name__}")
        if not isinstance(self.currency, Currency):
            raise TypeError(
                f'currency must be a Currency, not {type(self.currency).__name__}: e.g. Currency.of("USD")'
            )
        if not -LIMIT_MINOR <= self.amount_minor <= LIMIT_MINOR:
            raise ValueError(f"amount_minor must lie within {LIMIT_MINOR} either way")

    @classmethod
    def zero(cls, currency: Currency) -> Money:
        """Nothing, in this currency."""
        return cls(0, currency)

    @classmethod
    def parse(cls, major: str, code: str) -> Money:
        """Read an amount as people write it ("12.50"), without rounding.

        Refuses (ValueError) what has more decimals than the currency, thousands separators, exponents,
        NaN and the like; (TypeError) anything that is not a str, floats and Decimals included: pass
        `str(decimal)`.

        >>> Money.parse("12.5", "USD").amount_minor, Money.parse("-3", "JPY").amount_minor
        (1250, -3)
        >>> Money.parse("1.005", "USD")
        Traceback (most recent call last):
        ...
        ValueError: an amount in USD has at most 2 decimals
        """
        currency = Currency.of(code)
        if not isinstance(major, str):
            raise TypeError(f"an amount to parse must be a str, not {type(major).__name__}")
        match = _MAJOR.fullmatch(major)
        if match is None:
            raise ValueError("an amount must be digits with an optional point and decimals, e.g. '12.50'")
        sign, whole, decimals = match[1], match[2], match[3] or ""
        if len(decimals) > currency.exponent:
            raise ValueError(f"an amount in {currency.code} has at most {currency.exponent} decimals")
        minor = int(whole + decimals.ljust(currency.exponent, "0"))
        return cls(-minor if sign else minor, currency)

    @property
    def major(self) -> str:
        """The amount as people write it, with exactly the currency's decimals.

        >>> Money(-5, Currency.of("USD")).major
        '-0.05'
        """
        exponent = self.currency.exponent
        if exponent == 0:
            return str(self.amount_minor)
        digits = str(abs(self.amount_minor)).rjust(exponent + 1, "0")
        return f"{'-' if self.amount_minor < 0 else ''}{digits[:-exponent]}.{digits[-exponent:]}"

    def __str__(self) -> str:
        return f"{self.major} {self.currency.code}"

    def _same(self, other: Money) -> None:
        if self.currency is not other.currency and self.currency != other.currency:
            raise CurrencyMixError(
                f"{other.currency.code} cannot be added to or compared with {self.currency.code}: "
                "nothing is converted"
            )

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return self.amount_minor < other.amount_minor

    def __le__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return self.amount_minor <= other.amount_minor

    def __gt__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return self.amount_minor > other.amount_minor

    def __ge__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return self.amount_minor >= other.amount_minor
