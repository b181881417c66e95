"""One payment and everybody around it, acting by chance: random histories of which every step is judged.

A history is a list of moves drawn from a seed before it is played, so it can be played again, and shortened:
`explore` reports a broken law with the fewest moves that still break one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from random import Random

import attrs

from refund_domain.answers import (
    Accepted,
    Answer,
    Declined,
    Look,
    Missing,
    NotSent,
    OutcomeUnknown,
    Reversal,
    Reversed,
    Unread,
)
from refund_domain.commands import Actor, Choice, Reason
from refund_domain.connect import Transfer, TransferReversal
from refund_domain.decider.attention import attention
from refund_domain.decider.decide import Events, decide
from refund_domain.decider.inputs import Input
from refund_domain.decider.ledger import DISPUTE_FAILURE, EMPTY, Status, evolve, fold, record_of, status_of
from refund_domain.decider.legs import LegClaim
from refund_domain.payments import ChargeKind, Dispute, PaymentStatus
from refund_domain.policy import Policy
from refund_domain.refusals import Refused
from refund_domain.rules.eligibility import refundable
from tests.domain.histories import (
    DAY,
    DEAD_WORDS,
    MARIA,
    MINUTE,
    OMAR,
    SECOND,
    STRANGER,
    WHOLE,
    Story,
    card,
    codes,
    refund,
    separate,
    usd,
)
from tests.domain.laws_of_steps import LAWS, Step

WORDS = ("pending", "succeeded", "failed", "canceled", "requires_action", "a_new_word")
DELAYS = (*[timedelta(0)] * 8, SECOND, MINUTE, 4 * MINUTE, 5 * MINUTE + SECOND, 60 * MINUTE)
AHEAD = (-4 * MINUTE, -4 * MINUTE)
"""How long a call has taken by the time it is decided; or how far the clock of another's worker is ahead."""
JUMPS: dict[str, timedelta] = {
    "a second": SECOND,
    "a minute": MINUTE,
    "the answer's wait": 2 * MINUTE,
    "a quarter": 15 * MINUTE,
    "a day": DAY,
}
EDGES = ("due", "due", "before the first edge", "the first edge", "before the last edge", "the last edge")
ANSWERED: tuple[Answer | str, ...] = (
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
)


LEG_ANSWERED: tuple[Answer | str, ...] = (
    Declined(code="balance_insufficient"),
    NotSent(why="refused"),
    NotSent(why="key", alarm="bad_key"),
    OutcomeUnknown(why="timeout"),
    OutcomeUnknown(why="503", resend=False),
    "reversed",
    "reversed",
    "of another mark",
    "a refund",
)


class Met:
    """What histories came across."""

    def __init__(self) -> None:
        self.statuses: set[Status] = set()
        self.edges: set[tuple[Status, Status]] = set()
        self.events: Counter[str] = Counter()
        self.refusals: set[str] = set()
        self.waiting: set[str] = set()

    def note(self, step: Step) -> None:
        """Remember what this step came across."""
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


@attrs.frozen
class Move:
    """What somebody does next: the name of a method of `Play`, and its arguments."""

    name: str
    facts: dict[str, object]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.facts.items())})"


OVERLAPS = (False, False, False, True)

MOVES: dict[str, tuple[int, dict[str, Sequence[object]]]] = {
    "time_passes": (3, {"jump": (*JUMPS, *EDGES)}),
    "somebody_looks": (
        2,
        {"tenant": ("acme", "acme", None, "zenith"), "delay": (*DELAYS, *AHEAD), "overlaps": OVERLAPS},
    ),
    "a_person_decides": (
        2,
        {
            "quoted": (True, True, True, False),
            "again": (False, False, False, True),
            "off": (0, 0, 0, 0, 0, 0, 1),
            "by": (MARIA, MARIA, MARIA, MARIA, STRANGER),
            "age": (*[timedelta(0)] * 4, 15 * MINUTE, 15 * MINUTE + SECOND),
            "reason": (*[Reason.DUPLICATE] * 6, Reason.FRAUDULENT),
        },
    ),
    "a_person_issues": (3, {"said": ANSWERED, "word": WORDS, "answered": (True, False)}),
    "a_worker_looks": (
        4,
        {
            "what": ("all", "all", "all", "all", "none of ours", "unread", "alarm", "missing"),
            "due": (True, True, False),
            "delay": DELAYS,
            "overlaps": OVERLAPS,
        },
    ),
    "recovery_runs": (2, {"times": (1, 2, 3, 4), "what": ("all", "all", "none of ours", "unread")}),
    "a_worker_hears": (
        4,
        {"which": (0, 0, 0, 1, 2), "number": range(10), "said": ANSWERED, "word": WORDS, "delay": DELAYS},
    ),
    "ours_is_made_or_changes": (
        2,
        {
            "which": (0, 0, 1, 2),
            "word": WORDS,
            "cause": (None, "declined", DISPUTE_FAILURE),
            "seen": (True, False),
        },
    ),
    "somebody_else_refunds": (
        1,
        {
            "which": ("re_x1", "re_x2", "re_lost"),
            "share": (1, 1, 3, 10),
            "word": (*WORDS, *DEAD_WORDS),
            "reason": (None, "processing", "declined"),
        },
    ),
    "the_payment_changes": (
        1,
        {
            "status": (*[PaymentStatus.SUCCEEDED] * 4, PaymentStatus.PENDING),
            "figure": (*["list"] * 4, "nothing", "one more"),
            "dispute": (*[None] * 5, "won", "lost", "needs_response", "a_new_word"),
            "fee": (None, 1, 2),
        },
    ),
    "somebody_approves": (2, {"which": (0, 0, 0, 1), "off": (0, 0, 0, 1), "by": (OMAR, OMAR, MARIA, STRANGER)}),
    "a_worker_hears_of_a_leg": (
        3,
        {"which": range(6), "number": range(10), "said": LEG_ANSWERED, "delay": DELAYS},
    ),
    "a_transfer_changes": (
        2,
        {"what": ("made", "made", "by hand", "hidden", "another"), "which": range(6), "minor": (1, 40, 1_000)},
    ),
    "somebody_gives_cash": (1, {"minor": (1, 5, 30), "number": (1, 2, 3), "by": (MARIA, MARIA, STRANGER)}),
    "a_person_answers": (1, {"which": range(10), "choice": tuple(Choice), "fits": (True, False)}),
    "something_is_delivered_again": (1, {"which": range(30)}),
}
"""By name: how often, and what each argument is drawn from."""


class Play:
    """A payment of which the moves are played one by one."""

    def __init__(self, random: Random, met: Met) -> None:
        policy = Policy(
            gateway_caps=random.random() < 0.5,
            accept_unsettled_ach=random.random() < 0.5,
            poll_first=random.choice([MINUTE, 10 * MINUTE]),
        )
        method = random.choice(["card", "us_bank_account"])
        payment = card(random.choice([WHOLE, 100, 50]))
        if random.random() < 0.4:
            payment = random.choice([separate(15_000, 3_000), separate(WHOLE), separate(1, 30_000)])
        policy = attrs.evolve(policy, second_person_from=random.choice([None, None, (), (usd(100),)]))
        self.story = Story(attrs.evolve(payment, method=method), policy)
        self.story.give = self.judge  # type: ignore[method-assign]
        self.past: list[Input] = []
        self.asked = 0
        self.met = met
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

    def time_passes(self, jump: str) -> None:
        story = self.story
        since = [record.doubted_since for record in story.ledger.refunds if record.doubted_since]
        doubted = [leg.doubted_since for record in story.ledger.refunds for leg in record.legs]
        since += [at for at in doubted if at is not None]
        if jump in JUMPS:
            story.wait(JUMPS[jump])
        elif jump == "due" and story.ledger.due:
            story.until_due()
        elif since:
            edge = story.policy.resend_within if jump.endswith("first edge") else story.policy.end_after
            story.now = max(story.now, since[-1] + edge - SECOND * jump.startswith("before"))

    def somebody_looks(self, tenant: str | None, delay: timedelta, overlaps: bool) -> None:
        self.story.quote(tenant=tenant, at=self.story.now - delay, overlaps=overlaps)

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

    def a_person_issues(self, said: Answer | str, word: str, answered: bool) -> None:
        """The common way: quote, request, look, send, and mostly an answer."""
        self.story.quote()
        self.asked += 1
        mine = f"r{self.asked}"
        self.story.request(mine, reason=Reason.DUPLICATE)
        self.story.look()
        record = record_of(self.story.ledger, mine)
        if record is not None and record.claims and answered:
            self._answer(mine, 1, said, word, timedelta(0))

    def somebody_approves(self, which: int, off: int, by: Actor) -> None:
        asked = [record for record in self.story.ledger.refunds if record.request]
        if not asked:
            self.story.approve("r1", by=by)
            return
        record = asked[-1 - which % len(asked)]
        amount = record.request.amount + usd(off) if record.request else None
        self.story.approve(record.id, amount=amount, by=by)

    def a_worker_looks(self, what: str, due: bool, delay: timedelta, overlaps: bool) -> None:
        if due and self.story.ledger.due is not None:
            self.story.until_due()
        self.story.look(self._look(what), at=self.story.now - delay, overlaps=overlaps)

    def recovery_runs(self, times: int, what: str) -> None:
        for _ in range(times):
            if self.story.ledger.due is not None:
                self.story.until_due().look(self._look(what))

    def _look(self, what: str) -> Look:
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

    def a_worker_hears(self, which: int, number: int, said: Answer | str, word: str, delay: timedelta) -> None:
        records = [record for record in self.story.ledger.refunds if record.claims]
        if records:
            record = records[-1 - which % len(records)]
            unanswered = [claim.send.claim for claim in record.claims if claim.answer is None]
            claim = unanswered[-1] if unanswered and number < 7 else 1 + number % (len(record.claims) + 1)
            self._answer(record.id, claim, said, word, delay)

    def _answer(self, refund_id: str, claim: int, said: Answer | str, word: str, delay: timedelta) -> None:
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

    def a_worker_hears_of_a_leg(self, which: int, number: int, said: Answer | str, delay: timedelta) -> None:
        claims = self._leg_claims()
        if not claims:
            return
        open_ones = [claim for claim in claims if claim.answer is None]
        asked = (open_ones or claims)[which % len(open_ones or claims)].reversal
        made = TransferReversal(id=f"trr_{asked.id}", amount=asked.amount, mark=asked.id)
        if said == "reversed":
            self._pulled(asked)
            said = Reversed(reversal=made)
        elif said == "of another mark":
            said = Reversed(reversal=attrs.evolve(made, mark="r999"))
        elif isinstance(said, str):
            said = Accepted(refund=refund())
        self.story.leg_replies(
            said,
            refund_id=asked.refund_id,
            transfer=asked.transfer,
            claim=asked.claim if number else asked.claim + 1,
            at=self.story.now - delay,
        )

    def _leg_claims(self) -> list[LegClaim]:
        return [claim for r in self.story.ledger.refunds for leg in r.legs for claim in leg.claims]

    def _pulled(self, asked: Reversal) -> None:
        """The bank reverses what was asked for, if it was not there before and enough is left."""
        made = TransferReversal(id=f"trr_{asked.id}", amount=asked.amount, mark=asked.id)
        self._change(asked.transfer, made)

    def _change(self, name: str, made: TransferReversal) -> None:
        story, changed = self.story, []
        for one in story.payment.transfers:
            enough = one.left.amount_minor >= made.amount.amount_minor
            if one.id == name and enough and made.id not in {each.id for each in one.reversals}:
                back, reversals = one.reversed + made.amount, (made, *one.reversals)
                one = Transfer(id=one.id, amount=one.amount, reversed=back, reversals=reversals)  # noqa: PLW2901
            changed.append(one)
        self._show(tuple(changed))

    def _show(self, transfers: tuple[Transfer, ...]) -> None:
        held = any(one.left.amount_minor for one in transfers)
        kind = ChargeKind.SEPARATE if held else ChargeKind.PLATFORM
        self.story.payment = attrs.evolve(self.story.payment, kind=kind, transfers=transfers)

    def a_transfer_changes(self, what: str, which: int, minor: int) -> None:
        story = self.story
        claims, transfers = self._leg_claims(), story.payment.transfers
        if what == "made" and claims:
            self._pulled(claims[which % len(claims)].reversal)
        elif what == "by hand" and transfers:
            number = sum(len(one.reversals) for one in transfers)
            name = transfers[which % len(transfers)].id
            self._change(name, TransferReversal(id=f"trr_hand_{number}", amount=usd(minor)))
        elif what == "hidden" and transfers and which == 0:
            self._show(transfers[1:])
        elif what == "another" and which == 0 and transfers and "tr_9" not in {one.id for one in transfers}:
            self._show((*transfers, Transfer(id="tr_9", amount=usd(minor), reversed=usd(0))))

    def ours_is_made_or_changes(self, which: int, word: str, cause: str | None, seen: bool) -> None:
        records = [record for record in self.story.ledger.refunds if record.request]
        if records:
            ours = self.story.ours(records[-1 - which % len(records)].id, word)
            self.story.shows(attrs.evolve(ours, failure_reason=cause if word in DEAD_WORDS else None))
        if seen:
            self.story.quote()

    def somebody_else_refunds(self, which: str, share: int, word: str, reason: str | None) -> None:
        known, whole = self.story.listed.get(which), self.story.payment.captured.amount_minor
        minor = known.amount.amount_minor if known else max(1, whole * share // 10)
        made = attrs.evolve(refund(which, minor, word), pending_reason=reason, failure_reason=reason)
        self.story.shows(attrs.evolve(made, mark="lost" if which == "re_lost" else None))

    def the_payment_changes(
        self, status: PaymentStatus, figure: str, dispute: str | None, fee: int | None
    ) -> None:
        story = self.story
        live = sum(r.amount.amount_minor for r in story.listed.values() if r.status not in DEAD_WORDS)
        given_back = {"list": live, "nothing": 0, "one more": live + 1}[figure]
        disputes = () if dispute is None else (Dispute(id="dp_1", amount=usd(7), status=dispute),)
        story.payment = attrs.evolve(
            story.payment,
            status=status,
            given_back=usd(given_back),
            disputes=disputes,
            fee=None if fee is None else usd(fee),
        )

    def somebody_gives_cash(self, minor: int, number: int, by: Actor) -> None:
        self.story.outside(minor, f"o{number}", by=by)

    def a_person_answers(self, which: int, choice: Choice, fits: bool) -> None:
        items = attention(self.story.ledger)
        if not items:
            self.story.settle("r1", "not_shown", choice)
            return
        item = items[which % len(items)]
        self.story.settle(item.subject, item.code, item.choices[which % len(item.choices)] if fits else choice)

    def something_is_delivered_again(self, which: int) -> None:
        self.judge(self.past[-1 - which % len(self.past)])


def moves_of(random: Random, count: int) -> list[Move]:
    """So many moves, drawn by weight."""
    names = random.choices(list(MOVES), [weight for weight, _ in MOVES.values()], k=count)
    return [Move(name, {fact: random.choice(drawn) for fact, drawn in MOVES[name][1].items()}) for name in names]


def broken(seed: str, moves: Sequence[Move], met: Met) -> AssertionError | None:
    """The law that these moves break, if they do."""
    try:
        play = Play(Random(seed), met)
        for move in moves:
            getattr(play, move.name)(**move.facts)
        if fold(EMPTY, play.story.events) != play.story.ledger:
            raise AssertionError("folding on from what is known differs from folding from zero")
    except AssertionError as error:
        return error
    return None


def explore(seed: str, moves: int, met: Met) -> None:
    """Play the history of this seed; if a law breaks, fail with the shortest history found that breaks one."""
    drawn = moves_of(Random(f"moves of {seed}"), moves)
    error = broken(seed, drawn, met)
    if error is None:
        return
    for place in reversed(range(len(drawn))):
        shorter = drawn[:place] + drawn[place + 1 :]
        if (still := broken(seed, shorter, Met())) is not None:
            drawn, error = shorter, still
    told = "\n".join(f"  {move}" for move in drawn)
    raise AssertionError(f"seed {seed!r} breaks a law after\n{told}") from error
