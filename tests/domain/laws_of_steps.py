"""What must hold of every single step of every history, whatever happened before: one function a law.

Each takes a `Step`, says nothing where its law does not apply, and fails where it is broken. They judge by
the bare events and by the input, not by the decider's own helpers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from refund_domain.answers import Declined, NotSent, OutcomeUnknown, Picture, Reversed, Unread
from refund_domain.commands import Choice
from refund_domain.connect import PLATFORM, PlatformCharge, SeparateCharge, Split
from refund_domain.decider.attention import attention
from refund_domain.decider.decide import Events, decide, owed
from refund_domain.decider.inputs import (
    ApproveRequest,
    FreeLook,
    GatewayAnswered,
    Input,
    LegReplied,
    OwedLook,
    RecordOutside,
    RequestRefund,
    SettleAttention,
)
from refund_domain.decider.ledger import (
    DISPUTE_FAILURE,
    HOLDS,
    TRANSITIONS,
    Ledger,
    RefundRecord,
    Status,
    evolve,
    record_of,
    status_of,
)
from refund_domain.decider.pulling import LegState, state_of
from refund_domain.events import (
    AttentionSettled,
    Event,
    LegAnswered,
    LegClaimed,
    LegNotMade,
    LegObserved,
    LookScheduled,
    OutsideRecorded,
    PaymentSeen,
    PersonAsked,
    RefundApproved,
    RefundDropped,
    RefundNotMade,
    RefundObserved,
    RefundRequested,
    SendAnswered,
    SendClaimed,
    StreamOpened,
)
from refund_domain.payments import ChargeKind, Payment, PaymentStatus
from refund_domain.policy import Policy
from refund_domain.refusals import Refused
from refund_domain.rules.arrival import weekdays
from refund_domain.rules.eligibility import refundable
from refund_domain.service.stream import head
from refund_domain.views import view_payment
from tests.domain.histories import REF, naive_left, naive_status, observations

ENDED = (Status.DECLINED, Status.DROPPED, Status.NOT_MADE)
UNDER_WAY = (Status.REQUESTED, Status.IN_DOUBT)
NEWS = (StreamOpened, PaymentSeen, RefundObserved, LegObserved, LookScheduled)
OF_LEGS = (LegClaimed, LegAnswered, LegObserved, LegNotMade)
OF_INPUT: dict[type[Input], tuple[type[Event], ...]] = {
    RequestRefund: (RefundRequested, LookScheduled),
    ApproveRequest: (RefundApproved, LookScheduled),
    OwedLook: (
        PaymentSeen,
        RefundObserved,
        LegObserved,
        SendClaimed,
        RefundDropped,
        RefundNotMade,
        PersonAsked,
        LegClaimed,
        LegNotMade,
        LookScheduled,
    ),
    FreeLook: NEWS,
    GatewayAnswered: (SendAnswered, RefundObserved, LookScheduled),
    LegReplied: (LegAnswered, LookScheduled),
    RecordOutside: (StreamOpened, OutsideRecorded),
    SettleAttention: (AttentionSettled, RefundNotMade, RefundDropped, LookScheduled),
}
"""What each kind of input may be followed by. A free look never claims, drops, ends or asks."""


@attrs.frozen(kw_only=True)
class Step:
    """One input and what it led to; `history` is everything written down before it."""

    history: Sequence[Event]
    before: Ledger
    given: Input
    said: Events | Refused
    after: Ledger
    policy: Policy

    @property
    def events(self) -> Events:
        """What was appended."""
        return () if isinstance(self.said, Refused) else self.said

    @property
    def written(self) -> list[Event]:
        """The journal after this step."""
        return [*self.history, *self.events]


def law_an_input_leads_to_events_of_its_own_kinds_and_time(step: Step) -> None:
    """Only an owed look claims, drops, ends or asks by itself; every event bears the input's time."""
    assert {type(event) for event in step.events} <= set(OF_INPUT[type(step.given)])
    assert {event.at for event in step.events} <= {step.given.at}


def law_the_same_again_is_no_news(step: Step) -> None:
    """The same input once more appends nothing, whether it was a click, a look, an answer or a redelivery."""
    again = decide(step.after, step.given, step.policy)
    assert isinstance(again, Refused) or again == ()


def law_every_owed_look_moves_the_due_time_or_ends_the_matter(step: Step) -> None:
    """So the loop around the decider comes to an end. One that another look overtook leaves one more owed: that
    other has brought news, so of many workers one always gets on. So does one that brought news itself, on which a
    send would rest: the same once more is no news."""
    given = step.given
    if not isinstance(given, OwedLook) or not owed(step.before, given.at) or _overtaken(step):
        return
    if step.after.due is not None and step.after.due <= given.at:
        again = decide(step.after, attrs.evolve(given, sightings=step.after.sightings), step.policy)
        assert step.after.sightings > given.sightings
        assert not isinstance(again, Refused)
        assert any(isinstance(event, SendClaimed) for event in again)


def law_an_overtaken_look_replaces_nothing_and_is_made_again(step: Step) -> None:
    """Where another look has shown the payment otherwise meanwhile, what is known of it stands; an owed look stays
    owed."""
    if not _overtaken(step):
        return
    assert step.after.payment == step.before.payment
    if isinstance(step.given, OwedLook) and step.before.tenant is not None:
        assert owed(step.after, step.given.at)


def _overtaken(step: Step) -> bool:
    """Whether the journal holds more pictures of the payment than when this look began, and the last differs."""
    given = step.given
    if not isinstance(given, OwedLook | FreeLook):
        return False
    pictures = [event.payment for event in step.history if isinstance(event, PaymentSeen)]
    look = given.look if isinstance(given, OwedLook) else given.picture
    if len(pictures) == given.sightings or isinstance(look, Unread):
        return False
    return not isinstance(look, Picture) or look.payment != pictures[-1]


def law_a_look_not_owed_or_overtaken_only_brings_news(step: Step) -> None:
    """A look begun before another worker's claim, by a clock that fell back or beside another look that showed
    something else decides nothing."""
    given = step.given
    if not isinstance(given, OwedLook):
        return
    fell_back = given.at + step.policy.clock_skew < given.latest
    overtaken = _overtaken(step)
    if fell_back or overtaken or not owed(step.before, given.at) or not isinstance(given.look, Picture):
        decided = SendClaimed | RefundNotMade | PersonAsked | LegClaimed | LegNotMade
        assert not any(isinstance(event, decided) for event in step.events)
    if fell_back or overtaken or not owed(step.before, given.at):
        assert not any(isinstance(event, RefundDropped) for event in step.events)


def law_a_look_stays_due_while_anything_is_open(step: Step) -> None:
    """Requested, in doubt, pending or a success still watched: a look is always scheduled."""
    after = step.after
    latest = max(filter(None, (after.latest, step.given.at)))
    is_open = [record for record in after.refunds if status_of(after, record) in UNDER_WAY]
    waits = [seen for seen in after.observed if seen.status is Status.PENDING]
    watched = [
        seen
        for seen in after.observed
        if seen.status is Status.SUCCEEDED and latest - seen.refund.created_at < step.policy.watch
    ]
    owes = [
        leg
        for record in after.refunds
        for leg in record.legs
        if state_of(after, record, leg) in (LegState.OWED, LegState.IN_DOUBT)
    ]
    if is_open or waits or watched or (owes and not isinstance(step.given, SettleAttention)):
        assert after.due is not None
    if head(after).doubt_since is not None:
        assert head(after).look_at is not None, "a doubt that no figure of an older head would count"


def law_what_needs_a_second_person_is_claimed_after_anothers_word(step: Step) -> None:
    """Nobody's refund is sent on their own word where the policy of the request wanted another's, too."""
    for event in step.events:
        if not isinstance(event, SendClaimed):
            continue
        for request in (each for each in step.history if isinstance(each, RefundRequested)):
            if request.refund_id == event.send.refund_id and request.needs_second:
                words = [each for each in step.history if isinstance(each, RefundApproved)]
                assert [word for word in words if word.refund_id == request.refund_id and word.by != request.by]


def law_every_change_of_status_is_a_step_of_the_table(step: Step) -> None:
    """And a refund begins as requested, or as shown where the journal had lost it."""
    ledger = step.before
    for event in step.events:
        then = evolve(ledger, event)
        for record in then.refunds:
            old = record_of(ledger, record.id)
            status = status_of(then, record)
            if old is None:
                assert status is Status.REQUESTED or not record.request
            elif (was := status_of(ledger, old)) is not status:
                assert status in TRANSITIONS[was]
        ledger = then


def law_a_refund_shown_after_its_end_is_a_surprise_and_nothing_else_is(step: Step) -> None:
    """From declined, dropped or not made to what the gateway shows: named once, with the belief it contradicts."""
    ledger = step.before
    for event in step.events:
        then = evolve(ledger, event)
        for record in then.refunds:
            old = record_of(ledger, record.id)
            was = None if old is None else status_of(ledger, old)
            status = status_of(then, record)
            if was in ENDED and status not in ENDED:
                assert record.surprise is was
            elif old is not None:
                assert record.surprise is old.surprise
        ledger = then


def law_what_was_shown_outranks_every_belief(step: Step) -> None:
    """The status of a refund with our mark and amount is the highest of all its words, else a belief."""
    seen = observations(step.written)
    for record in step.after.refunds:
        amount = None if record.request is None else record.request.amount
        words = [one.status for one in seen if one.mark == record.id and amount in (None, one.amount)]
        status = status_of(step.after, record)
        assert status is (naive_status(words) or record.belief)


def law_what_may_go_back_is_what_the_bare_events_leave(step: Step) -> None:
    """R3, against the naive reference, after every step; which makes HOLDS a law of all statuses."""
    left = refundable(step.after)
    assert (None if left is None else left.amount_minor) == naive_left(step.written)


def law_one_refund_of_ours_is_under_way(step: Step) -> None:
    """At most one is requested or in doubt; and of those we asked for, more than one holds money only where
    the gateway has surprised us."""
    after = step.after
    assert len([record for record in after.refunds if status_of(after, record) in UNDER_WAY]) <= 1
    holding = [record for record in after.refunds if record.request and HOLDS[status_of(after, record)]]
    assert len([record for record in holding if record.surprise is None]) <= 1


def law_a_request_is_for_all_that_is_left_and_nothing_else(step: Step) -> None:
    """R3, R4: a new request has the verified amount, all that is left, of an undisputed payment of which no
    refund of ours has failed because of a dispute."""
    for event in step.events:
        if isinstance(event, RefundRequested):
            assert event.amount.amount_minor == naive_left(step.history) != 0
            assert step.before.payment is not None
            _assert_payment_allows(step.before.payment, event.at, step.policy)
            assert not [r for r in step.before.refunds if HOLDS[status_of(step.before, r)]]
            assert not [o for o in observations(step.history) if o.mark and o.failure_reason == DISPUTE_FAILURE]


def law_a_send_is_claimed_only_when_everything_allows_it(step: Step) -> None:
    """Owed, complete, young enough, unanswered by no and alarm, not shown, and still the verified amount."""
    claims = [event for event in step.events if isinstance(event, SendClaimed)]
    if not claims:
        return
    (claim,), given = claims, step.given
    assert isinstance(given, OwedLook)
    assert isinstance(given.look, Picture)
    record = record_of(step.before, claim.send.refund_id)
    assert record is not None
    assert record.request is not None
    assert record.alarm is None
    assert not any(_forbids_sending(earlier.answer) for earlier in record.claims)
    for earlier in record.claims:
        assert earlier.answer is not None or given.at - earlier.at >= step.policy.answer_wait
    _assert_young(record, given.at, step.policy)
    assert not [one for one in given.look.refunds if one.mark == record.id and one.amount == record.request.amount]
    assert given.look.payment == step.before.payment, "nobody had found it so before"
    assert given.sightings == step.before.sightings
    _assert_payment_allows(given.look.payment, given.at, step.policy)
    seen = [event for event in step.events if isinstance(event, PaymentSeen | RefundObserved)]
    assert claim.send.amount.amount_minor == naive_left([*step.history, *seen], without=record.id)


def law_every_send_of_one_refund_asks_for_the_same_thing(step: Step) -> None:
    """Same id, amount, payment, reason; the claims are numbered 1, 2, 3. The same split, too, once a claim may
    have been executed; as long as none was, each has the split of its own look."""
    for record in step.after.refunds:
        sends = [e.send for e in step.written if isinstance(e, SendClaimed) and e.send.refund_id == record.id]
        assert [send.claim for send in sends] == list(range(1, len(sends) + 1))
        assert len({attrs.evolve(send, claim=1, split=PlatformCharge()) for send in sends}) <= 1
        for send in sends:
            assert record.request is not None
            assert (send.amount, send.reason) == (record.request.amount, record.request.reason)
            assert send.payment == REF
            assert isinstance(send.split, PlatformCharge | SeparateCharge)
        answers: dict[int, object] = {}
        splits: dict[int, Split] = {}
        for event in step.written:
            if isinstance(event, SendAnswered) and event.refund_id == record.id:
                answers[event.claim] = event.answer
            if isinstance(event, SendClaimed) and event.send.refund_id == record.id:
                doubted = {split for claim, split in splits.items() if not isinstance(answers.get(claim), NotSent)}
                assert doubted <= {event.send.split}
                splits[event.send.claim] = event.send.split


def law_no_leg_changes_a_refund(step: Step) -> None:
    """Whatever becomes of a leg, every refund stands as before, and what may go back is the same."""
    ledger = step.before
    for event in step.events:
        then = evolve(ledger, event)
        if isinstance(event, OF_LEGS):
            assert [status_of(then, r) for r in then.refunds] == [status_of(ledger, r) for r in ledger.refunds]
            assert refundable(then) == refundable(ledger)
        ledger = then


def law_a_leg_is_claimed_for_a_live_refund_and_for_no_more_than_is_left(step: Step) -> None:
    """One call at a time, for a refund the gateway shows live, within its plan and what the transfer has left;
    never after a yes, and never while another worker may be asking."""
    claims = [event.reversal for event in step.events if isinstance(event, LegClaimed)]
    if not claims:
        return
    (asked,), given = claims, step.given
    assert not any(isinstance(event, SendClaimed) for event in step.events)
    assert isinstance(given, OwedLook)
    assert isinstance(given.look, Picture)
    record = record_of(step.before, asked.refund_id)
    assert record is not None
    assert record.request is not None
    shown = [one for one in observations(step.written) if one.mark == record.id]
    words = [one.status for one in shown if one.amount == record.request.amount]
    assert naive_status(words) in (Status.PENDING, Status.SUCCEEDED)
    plan = next(e.send.split for e in step.history if isinstance(e, SendClaimed) and _of(e, asked.refund_id))
    assert isinstance(plan, SeparateCharge)
    (leg,) = [leg for leg in plan.legs if leg.transfer == asked.transfer]
    (transfer,) = [one for one in given.look.payment.transfers if one.id == asked.transfer]
    assert 0 < asked.amount.amount_minor <= min(leg.amount.amount_minor, transfer.left.amount_minor)
    mine = [e for e in step.history if isinstance(e, OF_LEGS) and _of_leg(e) == (asked.refund_id, asked.transfer)]
    assert not any(isinstance(event, LegObserved) for event in mine)
    assert not any(isinstance(event, LegAnswered) and isinstance(event.answer, Reversed) for event in mine)
    answered = {event.claim for event in mine if isinstance(event, LegAnswered)}
    for earlier in mine:
        if isinstance(earlier, LegClaimed) and earlier.reversal.claim not in answered:
            assert given.at - earlier.at >= step.policy.answer_wait


def law_one_attempt_of_a_leg_asks_for_one_thing_and_another_has_another_id(step: Step) -> None:
    """The claims are numbered; an attempt has one id and one amount; a new one comes after a no, after time has
    ended the last, or where nothing of it can have been executed."""
    for event in step.events:
        if not isinstance(event, LegClaimed):
            continue
        asked = event.reversal
        before = [e for e in step.history if isinstance(e, OF_LEGS)]
        mine = [e for e in before if _of_leg(e) == (asked.refund_id, asked.transfer)]
        earlier = [e.reversal for e in mine if isinstance(e, LegClaimed)]
        assert asked.claim == len(earlier) + 1
        same = [one for one in earlier if one.attempt == asked.attempt]
        assert all((one.id, one.amount) == (asked.id, asked.amount) for one in same)
        assert all(one.id != asked.id for one in earlier if one.attempt != asked.attempt)
        if not same and earlier:
            last = [one.claim for one in earlier if one.attempt == earlier[-1].attempt]
            said = {e.claim: e.answer for e in mine if isinstance(e, LegAnswered)}
            answers = [said.get(claim) for claim in last]
            ended = any(isinstance(e, LegNotMade) and e.attempt == earlier[-1].attempt for e in mine)
            doubt = [one for one in answers if one is None or isinstance(one, OutcomeUnknown)]
            assert ended or not doubt


def law_an_attempt_is_over_only_by_time(step: Step) -> None:
    """After the last edge, and when nothing of its last call can still take effect."""
    for event in step.events:
        if isinstance(event, LegNotMade):
            claims = [
                e.at
                for e in step.history
                if isinstance(e, LegClaimed)
                and _of_leg(e) == (event.refund_id, event.transfer)
                and e.reversal.attempt == event.attempt
            ]
            policy = step.policy
            longest = 2 * policy.executes_within + policy.completes_within + policy.list_lag
            assert event.at - claims[-1] >= longest + policy.licence + 2 * policy.clock_skew
            assert event.at - claims[0] >= policy.end_after


def _of(event: SendClaimed, refund_id: str) -> bool:
    return event.send.refund_id == refund_id


def _of_leg(event: LegClaimed | LegAnswered | LegObserved | LegNotMade) -> tuple[str, str]:
    about = event.reversal if isinstance(event, LegClaimed) else event
    return about.refund_id, about.transfer


def law_a_doubt_ends_by_time_by_the_cap_or_by_a_person(step: Step) -> None:
    """Not made: after the last edge and nothing said otherwise, or with the payment filled by others, or
    because a person who was asked says so."""
    for event in step.events:
        if not isinstance(event, RefundNotMade):
            continue
        record = record_of(step.before, event.refund_id)
        assert record is not None
        assert status_of(step.before, record) is Status.IN_DOUBT
        if isinstance(step.given, SettleAttention):
            assert event.by == step.given.by
            assert record.asked_at is not None
            assert step.given.choice is Choice.NOT_MADE
        else:
            assert event.by is None
            assert _old_and_clear(record, event.at, step.policy) or _filled_by_others(step, record, event.at)


def law_a_person_is_asked_about_burnt_keys_past_the_last_edge(step: Step) -> None:
    """And never about anything else."""
    for event in step.events:
        if isinstance(event, PersonAsked):
            record = record_of(step.before, event.refund_id)
            assert record is not None
            assert record.doubted_since is not None
            assert record.asked_at is None
            assert event.at - record.doubted_since >= step.policy.end_after
            assert _without_effect(record, event.at, step.policy)
            assert any(isinstance(c.answer, OutcomeUnknown) and not c.answer.resend for c in record.claims)


def law_only_what_certainly_never_left_is_dropped(step: Step) -> None:
    """A rule's no drops a request of which no send can have been executed, and says why."""
    for event in step.events:
        if isinstance(event, RefundDropped):
            record = record_of(step.before, event.refund_id)
            assert record is not None
            assert all(isinstance(claim.answer, NotSent) for claim in record.claims)
            assert event.reasons


def law_the_stream_keeps_its_owner(step: Step) -> None:
    """The tenant is written first and never changes; another's commands are refused as not found."""
    if step.before.tenant is not None:
        assert step.after.tenant == step.before.tenant
    by = getattr(step.given, "by", None) or getattr(getattr(step.given, "command", None), "by", None)
    if by is not None and by.tenant != step.before.tenant:
        assert isinstance(step.said, Refused)
        assert step.said.reasons[0].code == "not_found"


def law_everything_can_be_shown(step: Step) -> None:
    """Views and what waits for a person are made of any ledger, agree with it, and offer no send."""
    after = step.after
    view = view_payment(after, REF, step.given.at, step.policy, weekdays)
    assert (view.left, len(view.refunds)) == (refundable(after), len(after.refunds))
    listed = {one.gateway_id for one in view.refunds if one.gateway_id} | {one.id for one in view.elsewhere}
    assert listed == {seen.refund.id for seen in after.observed}
    for one, record in zip(view.refunds, after.refunds, strict=True):
        status = status_of(after, record)
        assert one.status is status or (one.status, status) == (Status.REQUESTED, Status.IN_DOUBT)
    items = attention(after)
    assert len({(item.subject, item.code) for item in items}) == len(items)
    assert all(item.choices and item.says for item in items)


def _forbids_sending(answer: object) -> bool:
    return isinstance(answer, Declined) or (isinstance(answer, OutcomeUnknown) and not answer.resend)


def _assert_young(record: RefundRecord, at: datetime, policy: Policy) -> None:
    doubts = [claim.at for claim in record.claims if not isinstance(claim.answer, NotSent)]
    assert record.request is not None
    if doubts:
        assert at - doubts[0] < policy.resend_within
    else:
        assert at - record.request.at < policy.request_valid


def _assert_payment_allows(payment: Payment, at: datetime, policy: Policy) -> None:
    settled = payment.status is PaymentStatus.SUCCEEDED
    waits = payment.status is PaymentStatus.PENDING and payment.method == "us_bank_account"
    assert settled or (waits and policy.accept_unsettled_ach)
    assert payment.method in ("card", "us_bank_account")
    assert (payment.kind is ChargeKind.DIRECT) is (payment.ref.account != PLATFORM)
    assert all(dispute.status in ("won", "warning_closed", "prevented") for dispute in payment.disputes)
    window = policy.card_window if payment.method == "card" else policy.ach_window
    assert window is None or at - payment.taken_at <= window


def _old_and_clear(record: RefundRecord, at: datetime, policy: Policy) -> bool:
    doubts = [claim.at for claim in record.claims if not isinstance(claim.answer, NotSent)]
    burnt = any(isinstance(c.answer, OutcomeUnknown) and not c.answer.resend for c in record.claims)
    return at - doubts[0] >= policy.end_after and _without_effect(record, at, policy) and not burnt


def _filled_by_others(step: Step, record: RefundRecord, at: datetime) -> bool:
    policy, payment = step.policy, step.after.payment
    words: dict[str, set[str]] = {}
    amounts: dict[str, int] = {}
    for one in observations(step.written):
        if one.mark != record.id:
            words.setdefault(one.id, set()).add(one.status)
            amounts[one.id] = one.amount.amount_minor
    live = sum(minor for name, minor in amounts.items() if not words[name] & {"failed", "canceled"})
    assert payment is not None
    filled = live >= payment.captured.amount_minor
    return policy.gateway_caps and filled and _without_effect(record, at, policy)


def _without_effect(record: RefundRecord, at: datetime, policy: Policy) -> bool:
    """Whether the last send has left, executed, completed and been listed by now, or never will."""
    longest = 2 * policy.executes_within + policy.completes_within + policy.list_lag
    return at - record.claims[-1].at >= longest + policy.licence + 2 * policy.clock_skew


LAWS: tuple[Callable[[Step], None], ...] = tuple(
    law for name, law in sorted(globals().items()) if name.startswith("law_")
)
