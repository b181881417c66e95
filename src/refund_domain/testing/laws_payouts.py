"""The laws of a source of payouts, for every adapter that has one, ours or a host's: `check_payouts`.

Each law is one function with what it demands in its docstring. They make payments, refunds and payouts at the bank
they are given: never run them on a live account (a source that says it is live is refused).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import attrs

from refund_domain.answers import Missing, Unread
from refund_domain.connect import PLATFORM
from refund_domain.money import Money
from refund_domain.operations.feeds import Window
from refund_domain.payments import PaymentRef
from refund_domain.payouts.entries import OWN, Entry, EntryPage
from refund_domain.payouts.funds import Funds, Payout, PayoutStatus
from refund_domain.ports import PayoutSource
from refund_domain.testing.laws import Report, broken, checked_names, entered, hold_to, must, name_of
from refund_domain.testing.laws_feed import ALWAYS
from refund_domain.testing.laws_gateway import MANY

_TAKEN: Final = Money.parse("200.00", "USD")
_PART: Final = Money.parse("30.00", "USD")
_CENT: Final = Money.parse("0.01", "USD")
_YEN: Final = Money.parse("5000", "JPY")
_SECOND: Final = timedelta(seconds=1)


class PayoutBank(Protocol):
    """What the laws stage their scenes with. Of its payments and refunds nobody takes a fee."""

    @property
    def lacks(self) -> Collection[str]:
        """The laws that cannot be staged at this bank."""

    def charge(self, amount: Money, *, connected: bool = False) -> PaymentRef:
        """Take and capture a card payment of this amount: the platform's, or a connected account's own."""

    def elsewhere(self, ref: PaymentRef, amount: Money) -> str:
        """Refund this much of the payment as somebody else would; the gateway's id of the refund."""

    def ripen(self) -> None:
        """Let days go by, until all that was taken and given back so far is available."""

    def pay_out(self, account: str) -> str:
        """Make the automatic payout of all US dollars that are available there; its id.

        Where they add up to less than nothing it is a debit of the bank account.
        """

    def pay_out_by_hand(self, account: str, amount: Money) -> str:
        """Pay this much out by hand; the payout's id."""

    def reconcile(self, payout: str) -> None:
        """From now on this automatic payout says what is in it."""

    def move(self, payout: str, status: PayoutStatus) -> None:
        """This payout is in this state now."""

    def lose(self) -> None:
        """Let the next call for entries find the gateway unreadable."""


@attrs.frozen
class Till:
    """One law's stage: the source on trial, and its bank."""

    source: PayoutSource
    bank: PayoutBank

    def funds(self, account: str = PLATFORM) -> Funds:
        """What the account holds; the law is broken by anything else."""
        funds = self.source.funds(account)
        if not isinstance(funds, Funds):
            broken(f"{funds!r} for funds that could be read")
        return funds

    def payout(self, id: str, account: str = PLATFORM) -> Payout:
        """This payout; the law is broken by anything else."""
        payout = self.source.payout(account, id)
        if not isinstance(payout, Payout):
            broken(f"{payout!r} for a payout that could be read")
        must(payout.id == id, f"payout {payout.id} where {id} was asked for")
        return payout

    def page(
        self, payout: Payout, after: str | None = None, *, window: Window | None = None, account: str = PLATFORM
    ) -> EntryPage:
        """One page of entries; the law is broken by anything else."""
        page = self.source.entries(account, payout, window, after)
        if not isinstance(page, EntryPage):
            broken(f"{page!r} for a page that could be read")
        return page

    def entries(
        self, payout: Payout, after: str | None = None, *, window: Window | None = None, account: str = PLATFORM
    ) -> list[Entry]:
        """All entries behind `after`, the payout's own aside; one that stands twice breaks the law."""
        found: list[Entry] = []
        while True:
            page = self.page(payout, after, window=window, account=account)
            found.extend(page.entries)
            must(len({entry.id for entry in found}) == len(found), "an entry that is listed twice")
            if page.after is None:
                return [entry for entry in found if (entry.category, entry.source_id) != (OWN, payout.id)]
            after = page.after

    def paid_out(self, account: str = PLATFORM) -> Payout:
        """The automatic payout of what was taken and given back so far, reconciled."""
        self.bank.ripen()
        made = self.bank.pay_out(account)
        self.bank.reconcile(made)
        return self.payout(made, account)

    def holding(self, refund: str, account: str = PLATFORM) -> str | None:
        """The id of the payout that holds this refund, or None; the law is broken by anything else."""
        held = self.source.holding(account, refund)
        if held is not None and not isinstance(held, Payout):
            broken(f"{held!r} for a refund that could be found")
        return None if held is None else held.id


# --- funds and payouts ------------------------------------------------------------------------------------------


def funds_are_shown(till: Till) -> None:
    """A payout in progress is shown with its amount, whoever made it, and a balance without what was paid out."""
    till.bank.charge(_TAKEN)
    till.bank.ripen()
    by_hand = till.bank.pay_out_by_hand(PLATFORM, _PART)
    till.bank.ripen()
    funds = till.funds()
    shown = [(payout.id, payout.amount, payout.automatic, payout.in_progress) for payout in funds.payouts]
    must(shown == [(by_hand, _PART, False, True)], f"payouts {shown!r}")
    balance = funds.balance(_TAKEN.currency)
    must(balance is not None and balance.available == _TAKEN - _PART, f"balance {balance!r}")


def funds_end_with_the_payout(till: Till) -> None:
    """A payout in transit is in progress, and one that was paid, failed or was canceled is no more."""
    for status in PayoutStatus:
        till.bank.charge(_TAKEN)
        till.bank.ripen()
        made = till.bank.pay_out(PLATFORM)
        if status is not PayoutStatus.PENDING:
            till.bank.move(made, status)
        payout = till.payout(made)
        must(payout.status is status, f"{payout.status} of one that is {status}")
        listed = made in [each.id for each in till.funds().payouts]
        must(listed is payout.in_progress, f"{'listed' if listed else 'not listed'} while {status}")


def funds_apart(till: Till) -> None:
    """An account's funds are its own: another's payouts and balance are not among them."""
    till.bank.charge(_TAKEN)
    ref = till.bank.charge(_TAKEN, connected=True)
    till.bank.ripen()
    made = till.bank.pay_out(ref.account)
    seen = {account: till.funds(account) for account in (PLATFORM, ref.account)}
    payouts = [[payout.id for payout in funds.payouts] for funds in seen.values()]
    must(payouts == [[], [made]], f"payouts {payouts!r}")
    platform = seen[PLATFORM].balance(_TAKEN.currency)
    must(platform is not None and platform.available == _TAKEN, f"balance {platform!r} at {PLATFORM}")
    other = seen[ref.account].balance(_TAKEN.currency)
    must(other is None or other.available.amount_minor == 0, f"balance {other!r} at {ref.account}")


def payouts_are_told(till: Till) -> None:
    """A payout says its amount, who made it, whether it can be asked, and when the one before it was made."""
    till.bank.charge(_TAKEN)
    first = till.paid_out()
    till.bank.charge(_PART + _PART)
    till.bank.ripen()
    by_hand = till.payout(till.bank.pay_out_by_hand(PLATFORM, _PART))
    till.bank.ripen()
    till.bank.charge(_TAKEN)
    till.bank.ripen()
    second = till.payout(till.bank.pay_out(PLATFORM))
    told = [(payout.automatic, payout.reconciled) for payout in (first, by_hand, second)]
    must(told == [(True, True), (False, False), (True, False)], f"automatic and reconciled {told!r}")
    must((first.amount, by_hand.amount) == (_TAKEN, _PART), f"amounts {first.amount} and {by_hand.amount}")
    must(first.created_at is not None, "no time at which it was made")
    befores = [payout.before_at for payout in (first, by_hand, second)]
    must(befores == [None, first.created_at, first.created_at], f"the ones before made at {befores!r}")


def debits_are_negative(till: Till) -> None:
    """What was taken from the bank account is a payout below nothing, and the refund behind it is in it."""
    ref = till.bank.charge(_TAKEN)
    till.paid_out()
    refund = till.bank.elsewhere(ref, _TAKEN)
    debit = till.paid_out()
    must(debit.amount == -_TAKEN and debit.is_debit, f"{debit.amount} for a debit of {_TAKEN}")
    must(till.holding(refund) == debit.id, f"its refund in {till.holding(refund)}")


def no_such_payout(till: Till) -> None:
    """A payout that the account does not have is Missing, also where another account has it."""
    ref = till.bank.charge(_TAKEN, connected=True)
    made = till.paid_out(ref.account)
    for id in ("po_never_made", made.id):
        seen = till.source.payout(PLATFORM, id)
        must(isinstance(seen, Missing), f"{seen!r} for {id}")


# --- entries ----------------------------------------------------------------------------------------------------


def entries_add_up(till: Till) -> None:
    """The entries of a payout add up to it, and payment and refund are told apart, each with its charge."""
    whole, part = till.bank.charge(_TAKEN), till.bank.charge(_PART)
    refund = till.bank.elsewhere(whole, _PART)
    payout = till.paid_out()
    entries = till.entries(payout)
    must(payout.amount == _TAKEN, f"a payout of {payout.amount}")
    net = sum(entry.net_minor for entry in entries)
    must(net == _TAKEN.amount_minor, f"entries that add up to {net}")
    wrong = [entry.id for entry in entries if entry.amount_minor - entry.fee_minor != entry.net_minor]
    must(wrong == [], f"entries that do not add up themselves: {wrong!r}")
    told = {
        (entry.category, entry.amount_minor, entry.source_id, entry.about and entry.about.charge)
        for entry in entries
    }
    expected = {
        ("charge", _TAKEN.amount_minor, whole.charge, whole.charge),
        ("charge", _PART.amount_minor, part.charge, part.charge),
        ("refund", -_PART.amount_minor, refund, whole.charge),
    }
    must(told == expected, f"{told!r}")


def entries_are_in_its_currency(till: Till) -> None:
    """Entries of a payout and of a window are in the payout's currency, in the gateway's letters."""
    till.bank.charge(_TAKEN)
    till.bank.charge(_YEN)
    payout = till.paid_out()
    for window in (None, ALWAYS):
        found = [(entry.currency, entry.amount_minor) for entry in till.entries(payout, window=window)]
        must(found == [("usd", _TAKEN.amount_minor)], f"{found!r} in window {window}")


def pages_advance(till: Till) -> None:
    """More than a hundred entries are listed, each once, always in one order, and on from any page's end."""
    for _ in range(MANY):
        till.bank.charge(_CENT)
    payout = till.paid_out()
    whole = till.entries(payout)
    must(len(whole) == MANY, f"{len(whole)} entries of {MANY}")
    must([entry.id for entry in till.entries(payout)] == [entry.id for entry in whole], "another order")
    page = till.page(payout)
    first = [entry for entry in page.entries if entry in whole]
    rest = till.entries(payout, page.after)
    must(page.after is not None and first + rest == whole, f"{len(first)} and then {len(rest)} of {MANY}")


def lost_page(till: Till) -> None:
    """A page that could not be read is Unread, never a part of it, and is whole when it is asked for again."""
    till.bank.charge(_TAKEN)
    payout = till.paid_out()
    till.bank.lose()
    seen = till.source.entries(PLATFORM, payout, None, None)
    must(isinstance(seen, Unread), f"{seen!r}")
    must(len(till.entries(payout)) == 1, "less than the whole page afterwards")


def no_such_place(till: Till) -> None:
    """Behind an entry that is not there nothing is read: never the list from its start."""
    till.bank.charge(_TAKEN)
    payout = till.paid_out()
    seen = till.source.entries(PLATFORM, payout, None, "txn_never_made")
    must(isinstance(seen, Unread), f"{seen!r}")


def not_reconciled(till: Till) -> None:
    """Of a payout that is not reconciled nothing is told, whatever the payout that is asked with says."""
    till.bank.charge(_TAKEN)
    till.bank.ripen()
    payout = attrs.evolve(till.payout(till.bank.pay_out(PLATFORM)), reconciled=True)
    seen = till.source.entries(PLATFORM, payout, None, None)
    must(isinstance(seen, Unread), f"{seen!r}")


def window_is_kept(till: Till) -> None:
    """A window holds the entries that were created at its start, and not those created at its end."""
    till.bank.charge(_TAKEN)
    till.bank.ripen()
    payout = till.payout(till.bank.pay_out_by_hand(PLATFORM, _PART))
    (entry,) = till.entries(payout, window=ALWAYS)
    at = datetime.fromtimestamp(entry.created_s, UTC)
    inside = till.entries(payout, window=Window(start=at, end=at + _SECOND))
    must([each.id for each in inside] == [entry.id], f"{inside!r} in the window that begins with it")
    before = till.entries(payout, window=Window(start=at - _SECOND, end=at))
    must(before == [], f"{before!r} in the window that ends with it")


def entries_apart(till: Till) -> None:
    """An account's entries are its own: another's payout holds nothing there, and another's entries are in no
    window."""
    own, other = till.bank.charge(_PART), till.bank.charge(_TAKEN, connected=True)
    made = till.paid_out(other.account)
    seen = till.source.entries(PLATFORM, made, None, None)
    must(isinstance(seen, Unread), f"{seen!r} for another account's payout")
    windows = {ref: till.entries(made, window=ALWAYS, account=ref.account) for ref in (own, other)}
    for ref, entries in windows.items():
        sources = [entry.source_id for entry in entries]
        must(sources == [ref.charge], f"entries about {sources!r} at {ref.account}")


# --- where a refund is ------------------------------------------------------------------------------------------


def refunds_are_in_one_payout(till: Till) -> None:
    """Each refund is in the payout that its entry is in, in no other, and in none while it was not paid out."""
    refs = [till.bank.charge(_TAKEN) for _ in range(3)]
    till.bank.charge(_TAKEN)
    refunds, made = [], []
    for ref in refs[:2]:
        refunds.append(till.bank.elsewhere(ref, _PART))
        made.append(till.paid_out())
        till.bank.charge(_TAKEN)
    refunds.append(till.bank.elsewhere(refs[2], _PART))
    held = [till.holding(refund) for refund in refunds]
    must(held == [made[0].id, made[1].id, None], f"{held!r} where {[each.id for each in made]!r} were made")
    for payout, refund in zip(made, refunds, strict=False):
        sources = [entry.source_id for entry in till.entries(payout) if entry.category == "refund"]
        must(sources == [refund], f"refunds {sources!r} in {payout.id}")


def failed_payouts_hold(till: Till) -> None:
    """A refund stays in its payout when the bank refuses that afterwards."""
    refund = till.bank.elsewhere(till.bank.charge(_TAKEN), _PART)
    payout = till.paid_out()
    till.bank.move(payout.id, PayoutStatus.FAILED)
    must(till.holding(refund) == payout.id, f"in {till.holding(refund)}")


def payouts_by_hand_hold_nothing(till: Till) -> None:
    """A payout made by hand holds no refund, whatever it paid out."""
    refund = till.bank.elsewhere(till.bank.charge(_TAKEN), _PART)
    till.bank.ripen()
    till.bank.pay_out_by_hand(PLATFORM, _PART)
    must(till.holding(refund) is None, f"in {till.holding(refund)}")


def no_such_refund(till: Till) -> None:
    """A refund that the account does not have is Missing, also where another account has it."""
    ref = till.bank.charge(_TAKEN, connected=True)
    refund = till.bank.elsewhere(ref, _PART)
    made = till.paid_out(ref.account)
    must(till.holding(refund, ref.account) == made.id, f"in {till.holding(refund, ref.account)} at its account")
    for id in ("re_never_made", refund):
        seen = till.source.holding(PLATFORM, id)
        must(isinstance(seen, Missing), f"{seen!r} for {id}")


LAWS: Final[tuple[Callable[[Till], None], ...]] = (
    funds_are_shown,
    funds_end_with_the_payout,
    funds_apart,
    payouts_are_told,
    debits_are_negative,
    no_such_payout,
    entries_add_up,
    entries_are_in_its_currency,
    pages_advance,
    lost_page,
    no_such_place,
    not_reconciled,
    window_is_kept,
    entries_apart,
    refunds_are_in_one_payout,
    failed_payouts_hold,
    payouts_by_hand_hold_nothing,
    no_such_refund,
)
"""Every law of a source of payouts, in the order in which they are tried."""

Made = tuple[PayoutSource, PayoutBank]


def check_payouts(
    make: Callable[[], Made | AbstractContextManager[Made]], *, only: Collection[str] = ()
) -> Report:
    """Hold a source of payouts to the laws of its port: each on a fresh pair of source and bank.

    `make()` gives the pair, or a context manager that yields it. `bank.lacks` names the laws this bank cannot
    stage; they are reported as lacking. `only`: try just these laws.

    Raises `LawBroken`, which names the law and what was seen; ValueError for a name that is no law's and for a
    source that says it is live.
    """
    chosen = checked_names(only, LAWS, "only")
    held, lacking = [], []
    for law in LAWS:
        if chosen and name_of(law) not in chosen:
            continue
        with ExitStack() as stack:
            source, bank = entered(stack, make())
            if source.live:
                raise ValueError("the laws make payouts and must not be tried on a live source")
            if name_of(law) in checked_names(bank.lacks, LAWS, "lacks"):
                lacking.append(name_of(law))
            else:
                hold_to(law, Till(source, bank))
                held.append(name_of(law))
    return Report(held=tuple(held), lacking=tuple(lacking))
