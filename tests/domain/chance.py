"""One payment and everybody around it, acting by chance: a state machine that judges every step it takes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from refund_domain.answers import Accepted, Answer, Declined, Look, Missing, NotSent, OutcomeUnknown, Unread
from refund_domain.attention import attention
from refund_domain.commands import Actor, Choice, Reason
from refund_domain.decide import Events, decide
from refund_domain.inputs import Input
from refund_domain.ledger import DISPUTE_FAILURE, EMPTY, Status, evolve, fold, record_of, status_of
from refund_domain.payments import Dispute, PaymentStatus
from refund_domain.policy import Policy
from refund_domain.refusals import Refused
from refund_domain.rules import refundable
from tests.domain.histories import (
    DAY,
    DEAD_WORDS,
    MARIA,
    MINUTE,
    SECOND,
    STRANGER,
    WHOLE,
    Story,
    card,
    codes,
    refund,
    usd,
)
from tests.domain.laws_of_steps import LAWS, Step


class Met:
    """What the histories came across."""

    def __init__(self) -> None:
        self.statuses: set[Status] = set()
        self.edges: set[tuple[Status, Status]] = set()
        self.events: Counter[str] = Counter()
        self.refusals: set[str] = set()
        self.waiting: set[str] = set()

    def note(self, step: Step) -> None:
        ledger = step.before
        for event in step.events:
            self.events[type(event).__name__] += 1
            then = evolve(ledger, event)
            for record in then.refunds:
                status = status_of(then, record)
                self.statuses.add(status)
                old = record_of(ledger, record.id)
                if old is not None and status_of(ledger, old) is not status:
                    self.edges.add((status_of(ledger, old), status))
            ledger = then
        self.refusals |= codes(step.said)
        self.waiting |= {item.code.partition("_")[0] for item in attention(step.after)}


WORDS = ("pending", "succeeded", "failed", "canceled", "requires_action", "a_new_word")
DELAYS = st.sampled_from([0, 0, 0, 0, 0, 0, 0, 0, 1, 60, 240, 301, 3600]).map(lambda s: timedelta(seconds=s))
JUMPS: dict[str, timedelta] = {
    "a second": SECOND,
    "a minute": MINUTE,
    "the answer's wait": 2 * MINUTE,
    "a quarter": 15 * MINUTE,
    "a day": DAY,
}
EDGES = (
    "due",
    "before the first edge",
    "the first edge",
    "before the last edge",
    "the last edge",
    "the last edge",
)
ANSWERED = st.sampled_from(
    [
        Declined(code="no"),
        Declined(code="not_found", alarm="set_up"),
        NotSent(why="refused"),
        NotSent(why="key", alarm="bad_key"),
        OutcomeUnknown(why="timeout"),
        OutcomeUnknown(why="503", resend=False),
        OutcomeUnknown(why="odd", resend=False, alarm="odd_body"),
        OutcomeUnknown(why="403", alarm="rights"),
        "accepted",
        "accepted",
        "of another mark",
        "of another amount",
    ]
)


class Histories(RuleBasedStateMachine):
    """One payment, its gateway, its people and its workers, all acting by chance; every step is judged."""

    met = Met()

    @initialize(
        captured=st.sampled_from([WHOLE, 100, 50]),
        bank=st.booleans(),
        caps=st.booleans(),
        eager=st.booleans(),
        poll=st.sampled_from([MINUTE, 10 * MINUTE]),
    )
    def open(self, captured: int, bank: bool, caps: bool, eager: bool, poll: timedelta) -> None:
        policy = Policy(gateway_caps=caps, accept_unsettled_ach=eager, poll_first=poll)
        payment = attrs.evolve(card(captured), method="us_bank_account" if bank else "card")
        self.story = Story(payment, policy)
        self.past: list[Input] = []
        self.asked = 0
        self.story.give = self.judge  # type: ignore[method-assign]
        self.story.quote()

    def judge(self, given: Input) -> Events | Refused:
        """Decide, hold the step against every law, append."""
        story = self.story
        before, history = story.ledger, story.events
        said = decide(before, given, story.policy)
        after = before if isinstance(said, Refused) else fold(before, said)
        step = Step(history=history, before=before, given=given, said=said, after=after, policy=story.policy)
        for law in LAWS:
            law(step)
        self.met.note(step)
        self.past.append(given)
        story.ledger, story.events = after, step.written
        return said

    @rule(jump=st.sampled_from([*JUMPS, *EDGES]))
    def time_passes(self, jump: str) -> None:
        story = self.story
        since = [record.doubted_since for record in story.ledger.refunds if record.doubted_since]
        if jump in JUMPS:
            story.wait(JUMPS[jump])
        elif jump == "due" and story.ledger.due:
            story.until_due()
        elif since:
            edge = story.policy.resend_within if jump.endswith("first edge") else story.policy.end_after
            story.now = max(story.now, since[-1] + edge - (SECOND if jump.startswith("before") else 0 * SECOND))

    @rule(tenant=st.sampled_from(["acme", "acme", None, "zenith"]), delay=DELAYS)
    def somebody_looks(self, tenant: str | None, delay: timedelta) -> None:
        self.story.quote(tenant=tenant, at=self.story.now - delay)

    @rule(
        quoted=st.sampled_from([True, True, True, False]),
        again=st.sampled_from([False, False, False, True]),
        off=st.sampled_from([0, 0, 0, 0, 0, 0, 1]),
        by=st.sampled_from([MARIA, MARIA, MARIA, MARIA, MARIA, STRANGER]),
        age=st.sampled_from([0, 0, 0, 0, 900, 901]).map(lambda s: timedelta(seconds=s)),
        reason=st.sampled_from([Reason.DUPLICATE] * 6 + [Reason.FRAUDULENT]),
    )
    def a_person_decides(
        self, quoted: bool, again: bool, off: int, by: Actor, age: timedelta, reason: Reason
    ) -> None:
        if quoted:
            self.story.quote()
        self.asked += 0 if again and self.asked else 1
        left = refundable(self.story.ledger)
        minor = (left.amount_minor if left is not None else 0) or 1
        quoted_at = self.story.now - age
        self.story.request(f"r{self.asked}", amount=usd(minor + off), quoted_at=quoted_at, by=by, reason=reason)

    @rule(word=st.sampled_from(WORDS), said=ANSWERED, made=st.booleans())
    def a_person_issues(self, word: str, said: Answer | str, made: bool) -> None:
        """The common way: quote, request, look, send, answer."""
        story = self.story
        story.quote()
        self.asked += 1
        story.request(f"r{self.asked}", reason=Reason.DUPLICATE)
        story.look()
        claimed = [record for record in story.ledger.refunds if record.id == f"r{self.asked}" and record.claims]
        if claimed and made:
            self.answer(claimed[0].id, 1, said, word, timedelta(0))

    @rule(
        what=st.sampled_from(["all", "all", "all", "all", "none of ours", "unread", "alarm", "missing"]),
        due=st.sampled_from([True, True, False]),
        delay=DELAYS,
    )
    def a_worker_looks(self, what: str, due: bool, delay: timedelta) -> None:
        if due and self.story.ledger.due is not None:
            self.story.until_due()
        self.story.look(self.look(what), at=self.story.now - delay)

    @rule(times=st.integers(1, 4), what=st.sampled_from(["all", "all", "none of ours", "unread"]))
    def recovery_runs(self, times: int, what: str) -> None:
        for _ in range(times):
            if self.story.ledger.due is not None:
                self.story.until_due().look(self.look(what))

    def look(self, what: str) -> Look:
        picture = self.story.picture()
        match what:
            case "all":
                return picture
            case "none of ours":
                return attrs.evolve(picture, refunds=tuple(r for r in picture.refunds if r.mark is None))
            case "missing":
                return Missing()
            case _:
                return Unread(why="no answer", alarm="bad_key" if what == "alarm" else None)

    @precondition(lambda self: any(record.claims for record in self.story.ledger.refunds))
    @rule(
        which=st.sampled_from([0, 0, 0, 1, 2]),
        number=st.integers(0, 9),
        said=ANSWERED,
        word=st.sampled_from(WORDS),
        delay=DELAYS,
    )
    def a_worker_hears(self, which: int, number: int, said: Answer | str, word: str, delay: timedelta) -> None:
        records = [record for record in self.story.ledger.refunds if record.claims]
        record = records[-1 - which % len(records)]
        unanswered = [claim.send.claim for claim in record.claims if claim.answer is None]
        claim = unanswered[-1] if unanswered and number < 7 else 1 + number % (len(record.claims) + 1)
        self.answer(record.id, claim, said, word, delay)

    def answer(self, refund_id: str, claim: int, said: Answer | str, word: str, delay: timedelta) -> None:
        if isinstance(said, str):
            ours = self.story.ours(refund_id, word)
            if said == "accepted":
                self.story.shows(ours)
            elif said == "of another mark":
                ours = attrs.evolve(ours, mark="r999")
            else:
                ours = attrs.evolve(ours, id=f"re_odd_{refund_id}", amount=ours.amount + usd(1))
                self.story.shows(ours)
            said = Accepted(refund=ours)
        self.story.answer(said, claim=claim, refund_id=refund_id, at=self.story.now - delay)

    @precondition(lambda self: any(record.request for record in self.story.ledger.refunds))
    @rule(
        which=st.sampled_from([0, 0, 1, 2]),
        word=st.sampled_from(WORDS),
        cause=st.sampled_from([None, "declined", DISPUTE_FAILURE]),
        seen=st.booleans(),
    )
    def ours_is_made_or_changes(self, which: int, word: str, cause: str | None, seen: bool) -> None:
        records = [record for record in self.story.ledger.refunds if record.request]
        ours = self.story.ours(records[-1 - which % len(records)].id, word)
        self.story.shows(attrs.evolve(ours, failure_reason=cause if word in DEAD_WORDS else None))
        if seen:
            self.story.quote()

    @rule(
        which=st.sampled_from(["re_x1", "re_x2", "re_lost"]),
        share=st.sampled_from([1, 1, 3, 10]),
        word=st.sampled_from(WORDS),
        reason=st.sampled_from([None, "processing", "declined"]),
    )
    def somebody_else_refunds(self, which: str, share: int, word: str, reason: str | None) -> None:
        known = self.story.listed.get(which)
        minor = (
            known.amount.amount_minor if known else max(1, self.story.payment.captured.amount_minor * share // 10)
        )
        made = attrs.evolve(refund(which, minor, word), pending_reason=reason, failure_reason=reason)
        self.story.shows(attrs.evolve(made, mark="lost" if which == "re_lost" else None))

    @rule(
        status=st.sampled_from([PaymentStatus.SUCCEEDED, PaymentStatus.SUCCEEDED, PaymentStatus.PENDING]),
        figure=st.sampled_from(["list", "list", "list", "list", "nothing", "one more"]),
        dispute=st.sampled_from([None, None, None, None, "won", "needs_response", "a_new_word"]),
    )
    def the_payment_changes(self, status: PaymentStatus, figure: str, dispute: str | None) -> None:
        story = self.story
        live = sum(r.amount.amount_minor for r in story.listed.values() if r.status not in DEAD_WORDS)
        given_back = {"list": live, "nothing": 0, "one more": live + 1}[figure]
        disputes = () if dispute is None else (Dispute(id="dp_1", amount=usd(7), status=dispute),)
        story.payment = attrs.evolve(story.payment, status=status, given_back=usd(given_back), disputes=disputes)

    @rule(minor=st.integers(1, 30), number=st.integers(1, 3), by=st.sampled_from([MARIA, MARIA, STRANGER]))
    def somebody_gives_cash(self, minor: int, number: int, by: Actor) -> None:
        self.story.outside(minor, f"o{number}", by=by)

    @rule(which=st.integers(0, 9), choice=st.sampled_from(Choice), fits=st.booleans())
    def a_person_answers(self, which: int, choice: Choice, fits: bool) -> None:
        items = attention(self.story.ledger)
        if not items:
            self.story.settle("r1", "not_shown", choice)
            return
        item = items[which % len(items)]
        self.story.settle(item.subject, item.code, item.choices[which % len(item.choices)] if fits else choice)

    @precondition(lambda self: self.past)
    @rule(which=st.integers(0, 30))
    def something_is_delivered_again(self, which: int) -> None:
        self.judge(self.past[-1 - which % len(self.past)])

    def teardown(self) -> None:
        if hasattr(self, "story"):
            assert fold(EMPTY, self.story.events) == self.story.ledger
