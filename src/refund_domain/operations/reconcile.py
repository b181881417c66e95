"""Reconciling: to look at a payment, or at every payment of an account's window, and merge what the look shows.

A feed of the account's refunds and disputes says where to look, by id and never by amount. Each payment it names
is looked at whole and merged as a signal's is: nothing is claimed, sent, ended, opened or put off, and what a look
lacks of what the feed named makes that payment one that failed. A run may stop anywhere (a limit, a page that
cannot be read, a crash) and goes on from its `Position`; only one that read both lists to their last page, and
every payment in them, says up to when the account is reconciled.

A window is one of *creation*. Its looks show how things stand now, so a refund that failed months after it was
made is found by a window over the day it was made. What the journal still watches (whatever is pending, and each
success for as long as the policy says) needs no window: it has a due time, and `recover` looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import attrs

from refund_domain._checks import check_count, check_id, check_time, check_type
from refund_domain.answers import Look, Missing, Picture, Unread
from refund_domain.decider.evidence import Evidence, evidence
from refund_domain.decider.ledger import Ledger, is_shown_by, record_of
from refund_domain.errors import GatewayUnreadable
from refund_domain.money import Money
from refund_domain.operations.feeds import FeedPage, Mention, Window
from refund_domain.payments import GatewayRefund, PaymentRef
from refund_domain.policy import Policy
from refund_domain.rules.eligibility import capped, listed_minor
from refund_domain.service.stream import Handed, Merged, Received, Reported, Stream
from refund_domain.signals import Signal, Subject
from refund_domain.views import PaymentView

NOT_HELD: Final = "its account holds no such payment"
NOT_SHOWN: Final = "what the feed names of it is not shown yet"

# --- one payment --------------------------------------------------------------------------------------------


@attrs.frozen
class Compared:
    """A stream, a look at its payment, and whether the look was news; it was merged if the stream has an owner."""

    stream: Stream
    look: Look
    news: bool = False


@attrs.frozen(kw_only=True)
class Drift:
    """The payment's own figure of money given back and what its list of live refunds adds up to, if they differ.

    The gateway contradicts itself, or its list lags. What may go back follows the larger of the two (R3).
    """

    payment: PaymentRef
    figure: Money
    listed: Money

    @property
    def difference(self) -> Money:
        """What the figure says beyond the list; negative where the list holds more."""
        return self.figure - self.listed


@attrs.frozen(kw_only=True)
class Reconciled:
    """A payment with an owner, looked at and merged.

    `tenant` owns it, `view` is how it stands now, `news` whether the look told any. `drift` is None where the
    gateway agrees with itself. `evidence` is each live refund beside each dispute that counts. `unexplained` are
    refunds that carry our mark and that no request of this stream asked for: the journal lost it, another journal
    made it, or somebody copied the mark; their amounts count as any other's. `ids` are the gateway's ids of the
    refunds and disputes that this look showed.
    """

    payment: PaymentRef
    tenant: str
    view: PaymentView
    news: bool
    drift: Drift | None = None
    evidence: tuple[Evidence, ...] = ()
    unexplained: tuple[GatewayRefund, ...] = ()
    ids: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Unowned:
    """Nobody has quoted this payment yet, so it has no owner: nothing was stored, and it is the host's.

    `picture` is what the look showed. To take the payment in, let somebody who may quote it.
    """

    payment: PaymentRef
    picture: Picture


@attrs.frozen(kw_only=True)
class Unreconciled:
    """This payment could not be reconciled now, whoever owns it; `why` holds no secret and no client's data.

    Try it again.
    """

    payment: PaymentRef
    why: str


Outcome = Reconciled | Unowned | Unreconciled
"""What became of one payment."""


def outcome_of(ref: PaymentRef, compared: Compared, view: PaymentView) -> Outcome:
    """What a comparison of this payment amounts to; `view` is its stream's."""
    ledger, look = compared.stream.ledger, compared.look
    if isinstance(look, Unread):
        return Unreconciled(payment=ref, why=look.why)
    if isinstance(look, Missing):
        return Unreconciled(payment=ref, why=NOT_HELD)
    if ledger.tenant is None:
        return Unowned(payment=ref, picture=look)
    return Reconciled(
        payment=ref,
        tenant=ledger.tenant,
        view=view,
        news=compared.news,
        drift=drift_of(ledger),
        evidence=evidence(ledger),
        unexplained=tuple(seen.refund for seen in ledger.observed if _unexplained(ledger, seen.refund)),
        ids=_ids_in(look),
    )


def _ids_in(picture: Picture) -> tuple[str, ...]:
    """The gateway's ids of what this picture shows."""
    return (*(refund.id for refund in picture.refunds), *(dispute.id for dispute in picture.payment.disputes))


def received_as(signal: Signal, compared: Compared, view: PaymentView) -> Received:
    """What became of a signal by the comparison it asked for. Raises `GatewayUnreadable` where there was none."""
    look = compared.look
    if isinstance(look, Unread):
        raise GatewayUnreadable(look.why)
    if isinstance(look, Missing):
        return Reported(signal=signal, why=NOT_HELD)
    if compared.stream.ledger.tenant is None:
        return Handed(signal=signal, picture=look)
    return Merged(signal=signal, view=view, news=compared.news)


def drift_of(ledger: Ledger) -> Drift | None:
    """The payment's own figure beside its list, where they differ."""
    payment = ledger.payment
    if payment is None:
        return None
    listed = capped(listed_minor(ledger), payment.captured.currency)
    if listed == payment.given_back:
        return None
    return Drift(payment=payment.ref, figure=payment.given_back, listed=listed)


def _unexplained(ledger: Ledger, refund: GatewayRefund) -> bool:
    """Whether it carries our mark, and no request of this stream asked for it."""
    if refund.mark is None:
        return False
    record = record_of(ledger, refund.mark)
    return record is None or record.request is None or not is_shown_by(record, refund)


# --- an account ---------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Position:
    """Where a run stands, to go on from there: ids and times only, and `str(position)` for a queue or a row.

    It belongs to its account, window and feed. Next comes what the list of `subject` holds behind `after` (None:
    its first page). `began` is the journal's time when the run began; `whole` says that no payment failed so far.

    >>> from datetime import UTC
    >>> day = Window(start=datetime(2026, 3, 2, tzinfo=UTC), end=datetime(2026, 3, 3, tzinfo=UTC))
    >>> place = Position(account="acct_1", window=day, subject=Subject.REFUND, after="re_7", began=day.end)
    >>> Position.parse(str(place)) == place
    True
    """

    account: str
    window: Window
    subject: Subject
    after: str | None
    began: datetime
    whole: bool = True

    def __attrs_post_init__(self) -> None:
        check_id(self.account, "account")
        check_type(self.window, Window, "window")
        if self.subject not in _LISTS:
            raise ValueError("subject must be refund or dispute")
        if self.after is not None:
            check_id(self.after, "after")
        check_time(self.began, "began")
        check_type(self.whole, bool, "whole")

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read `str(position)` back. Raises ValueError for any other text."""
        check_type(text, str, "a position's text")
        try:
            account, start, end, subject, began, whole, *after = text.split(" ", 6)
            return cls(
                account=account,
                window=Window(start=datetime.fromisoformat(start), end=datetime.fromisoformat(end)),
                subject=Subject(subject),
                after=after[0] if after else None,
                began=datetime.fromisoformat(began),
                whole={"whole": True, "part": False}[whole],
            )
        except (ValueError, KeyError):
            pass  # what they say repeats parts of the text, and would hang on an exception raised here
        raise ValueError("this is no position that a reconciliation gave")

    def __str__(self) -> str:
        start, end, began = (at.isoformat() for at in (self.window.start, self.window.end, self.began))
        words = (self.account, start, end, self.subject, began, "whole" if self.whole else "part")
        return " ".join(words if self.after is None else (*words, self.after))


_LISTS: Final = (Subject.REFUND, Subject.DISPUTE)


@attrs.frozen(kw_only=True)
class Reconciliation:
    """What one call of `reconcile_account` did, for whoever operates the host: it spans tenants.

    `payments` were merged, `unowned` are the host's to take in, `failed` could not be read or lack what the feed
    names; try those again with `reconcile`. `position` is where to go on, None once both lists were read to their
    last page. `unread` is why a page could not be read; nothing behind it was looked at, and `position` stands
    before it.

    `until`: every refund and dispute of the account created from the window's start to then was looked at, in
    this call or in those it goes on from. None for a run that is not over or that failed anywhere. It lies before
    the window's end where that was too recent for a list to be complete; begin the next window there.

    `listed_until`: the same but for the payments in `failed`, here and in the calls it goes on from. One that
    fails for good would else hold up its account for ever: keep its ref, and begin the next window there.
    """

    account: str
    window: Window
    payments: tuple[Reconciled, ...] = ()
    unowned: tuple[Unowned, ...] = ()
    failed: tuple[Unreconciled, ...] = ()
    position: Position | None = None
    unread: str | None = None
    until: datetime | None = None
    listed_until: datetime | None = None

    @property
    def news(self) -> tuple[Reconciled, ...]:
        """The payments whose look told something new."""
        return tuple(payment for payment in self.payments if payment.news)

    @property
    def drift(self) -> tuple[Drift, ...]:
        """Where the gateway's figure and its list differ."""
        return tuple(payment.drift for payment in self.payments if payment.drift is not None)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Each dispute beside a live refund."""
        return tuple(each for payment in self.payments for each in payment.evidence)

    @property
    def unexplained(self) -> tuple[tuple[PaymentRef, GatewayRefund], ...]:
        """Each refund with our mark that no request asked for, with its payment; those that nobody owns as well.

        Where the journal is lost that is all of them.
        """
        owned = ((payment.payment, refund) for payment in self.payments for refund in payment.unexplained)
        unowned = ((each.payment, refund) for each in self.unowned for refund in each.picture.refunds)
        return (*owned, *((ref, refund) for ref, refund in unowned if refund.mark is not None))


class Run:
    """One call of `reconcile_account` under way: which page comes next, whom to look at, what came of it.

    Refuses odd arguments (TypeError, ValueError). `now` is the journal's time; only a first call has need of it.
    The service reads the page at `place` while there is one, looks at each payment that `to_look_at` gives, and
    says by `took` what came of it.
    """

    def __init__(
        self,
        account: str,
        window: Window,
        limit: int,
        after: Position | None,
        on_progress: Callable[[int], object] | None,
        now: datetime,
    ) -> None:
        first = Position(account=account, window=window, subject=_LISTS[0], after=None, began=now)
        check_count(limit, "limit", 1)
        if on_progress is not None and not callable(on_progress):
            raise TypeError("on_progress must be callable")
        if after is not None:
            check_type(after, Position, "after")
            if (after.account, after.window) != (account, window):
                raise ValueError("after must be a position of this account and this window")
        self._account, self._window, self._left = account, window, limit
        self._limit, self._on_progress = limit, on_progress
        self._place: Position | None = first if after is None else after
        self._began, self._whole = (first if after is None else after).began, after is None or after.whole
        self._unread: str | None = None
        self._seen: set[tuple[Subject, str]] = set()
        self._outcomes: dict[PaymentRef, Outcome] = {}
        self._failed: dict[PaymentRef, Unreconciled] = {}

    @property
    def place(self) -> Position | None:
        """Where the next page is read; None: this call is over."""
        return self._place if self._left and self._unread is None else None

    def to_look_at(self, place: Position, page: object) -> Iterator[PaymentRef]:
        """The payments of the page at `place` to look at now, each answered by `took` before the next is drawn.

        A payment is looked at once a call, and again for what its look had not shown; one that failed, no more.
        What is no page, or one that was not asked for, ends the call as a page that cannot be read does.
        """
        read = self._read_as(page, place)
        if isinstance(read, Unread):
            self._unread = read.why
            return
        for number, mention in enumerate(read.mentions, 1):
            ref = self._named(mention)
            if ref is not None:
                if not self._is_known(ref, mention) and ref not in self._failed:
                    yield ref
                if not self._is_known(ref, mention):
                    self._failed.setdefault(ref, Unreconciled(payment=ref, why=NOT_SHOWN))
                self._whole = self._whole and ref not in self._failed
            self._seen.add((place.subject, mention.id))
            self._left -= 1
            self._place = attrs.evolve(place, after=mention.id, whole=self._whole)
            _tell(self._on_progress, self._limit - self._left)
            if not self._left and number < len(read.mentions):
                return
        if not read.more:
            self._place = self._next_list(place)

    def took(self, outcome: Outcome) -> None:
        """What came of the payment that was given last."""
        if isinstance(outcome, Unreconciled):
            self._failed[outcome.payment] = outcome
            self._outcomes.setdefault(outcome.payment, outcome)  # what an earlier look has merged stands
            return
        before = self._outcomes.get(outcome.payment)
        if isinstance(outcome, Reconciled) and isinstance(before, Reconciled) and before.news:
            outcome = attrs.evolve(outcome, news=True)
        self._outcomes[outcome.payment] = outcome

    def result(self, policy: Policy) -> Reconciliation:
        """What this call did, as far as it came."""
        outcomes, until = self._outcomes.values(), self._until(policy)
        return Reconciliation(
            account=self._account,
            window=self._window,
            payments=tuple(outcome for outcome in outcomes if isinstance(outcome, Reconciled)),
            unowned=tuple(outcome for outcome in outcomes if isinstance(outcome, Unowned)),
            failed=tuple(self._failed.values()),
            position=self._place,
            unread=self._unread,
            until=until if self._whole else None,
            listed_until=until,
        )

    def _read_as(self, page: object, place: Position) -> FeedPage | Unread:
        """The page, unless it lists what was not asked for or what came before: such a list would never end."""
        if isinstance(page, Unread):
            return page
        if not isinstance(page, FeedPage):
            return Unread(why="the feed returned no page")
        if any(mention.created_at not in self._window for mention in page.mentions):
            return Unread(why="the feed lists what was not created within the window")
        ids = [mention.id for mention in page.mentions]
        if place.after in ids or any((place.subject, id) in self._seen for id in ids):
            return Unread(why="the feed repeats itself")
        return page

    def _named(self, mention: Mention) -> PaymentRef | None:
        return None if mention.charge is None else PaymentRef(self._account, mention.charge)

    def _is_known(self, ref: PaymentRef, mention: Mention) -> bool:
        """Whether the payment needs no look for this: it was shown, or the payment failed already."""
        match self._outcomes.get(ref):
            case None:
                return False
            case Reconciled(ids=ids):
                return mention.id in ids
            case Unowned(picture=picture):
                return mention.id in _ids_in(picture)
            case Unreconciled():
                return True

    def _next_list(self, place: Position) -> Position | None:
        following = _LISTS[_LISTS.index(place.subject) + 1 :]
        return attrs.evolve(place, subject=following[0], after=None, whole=self._whole) if following else None

    def _until(self, policy: Policy) -> datetime | None:
        """Up to when the lists were read: no later than a list was complete when the run began."""
        if self._place is not None or self._unread is not None:
            return None
        complete = self._began - policy.list_lag - 2 * policy.clock_skew
        return min(self._window.end, complete) if complete > self._window.start else None


def _tell(on_progress: Callable[[int], object] | None, done: int) -> None:
    """Tell the host how far a run is. What its function raises is its own affair and stops nothing."""
    if on_progress is not None:
        try:
            on_progress(done)
        except Exception:
            return


def clock_ref(account: str) -> PaymentRef:
    """A stream of this account that never is: an empty one tells the journal's time as well as any other."""
    return PaymentRef(account, "reconciliation")


def check_feed(feed: object, *, live: bool) -> None:
    """Refuse (TypeError) what is no feed, and (ValueError) one of another mode than the gateway's.

    A test mode's list says nothing about real refunds, and would be taken for a quiet day.
    """
    if not callable(getattr(feed, "page", None)):
        raise TypeError("feed must be a RefundFeed, e.g. the gateway itself")
    if getattr(feed, "live", None) is not live:
        raise ValueError("feed and gateway must both be live, or both not")
