"""The golden table: what each fault of the network means for a send and for a look, over every HTTP client.

The answers are those of docs/explanation/stripe-facts.md, "Error classification". Beside each answer stands the
number of refunds the double holds then, and how many once what was late has arrived too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import attrs
import pytest

from refund_adapters.stripe import MARK
from refund_domain.answers import Accepted, Answer, Look, NotSent, OutcomeUnknown, Picture, Unread
from refund_domain.connect import ApplicationFee, ChargeKind, DestinationCharge
from refund_domain.money import Money
from tests.fault_proxy.faults import FAULTS, Cut, Ending, Fault, Refused, ResetEarly, Trickle
from tests.fault_proxy.parts import ALL, AMOUNT, EARLY_S, LONG_S, Client, Double, Mock, OurDouble, gateway, send_of
from tests.fault_proxy.proxy import CREATE, ELSEWHERE, FaultProxy, Target, fault_proxy

# What a send may answer.
ACCEPTED = "accepted"
NOT_SENT = "not sent"
NOT_SENT_KEY = "not sent, alarm credentials"
UNKNOWN = "unknown, may go again"
LOOK_AGAIN = "unknown, may go again, alarm not_stripe"
BURNT = "unknown, never again"
STRANGE = "unknown, never again, alarm not_stripe"
NOT_OURS = "unknown, never again, alarm not_our_refund"


def _words(answer: Answer) -> str:
    """An answer in the words of the table."""
    match answer:
        case OutcomeUnknown(resend=resend, alarm=alarm):
            words = "unknown, may go again" if resend else "unknown, never again"
        case NotSent(alarm=alarm):
            words = "not sent"
        case Accepted():
            return ACCEPTED
        case _:
            return type(answer).__name__
    return words if alarm is None else f"{words}, alarm {alarm}"


@attrs.frozen
class Row:
    """What a fault means for a send: the answer, the refunds then, the refunds once all has arrived.

    `unlike`: the answer over clients that legitimately read the same bytes in another way. `or_else`: another
    answer that is true as well, where chance decides which one it is.
    """

    answer: str
    made: int
    in_the_end: int
    unlike: tuple[tuple[Client, str], ...] = ()
    or_else: str | None = None

    def answers_over(self, client: Client) -> tuple[str | None, ...]:
        """The answers expected over this client."""
        return dict(self.unlike).get(client, self.answer), self.or_else


CREATES: dict[str, Row] = {
    # nothing of ours left: it may be said so
    "refused": Row(NOT_SENT, 0, 0),
    # a reset connection may have carried the request away, unless it was reset before it was made
    "reset at accept": Row(UNKNOWN, 0, 0, or_else=NOT_SENT),
    "reset at the first byte": Row(UNKNOWN, 0, 0),
    "dropped before forward": Row(UNKNOWN, 0, 0),
    "reset before forward": Row(UNKNOWN, 0, 0),
    "silence, never forwarded": Row(UNKNOWN, 0, 0),
    # the same to the client, yet the money is on its way
    "cut after forward": Row(UNKNOWN, 1, 1),
    "reset after forward": Row(UNKNOWN, 1, 1),
    "cut mid-headers": Row(UNKNOWN, 1, 1),
    "cut mid-body": Row(UNKNOWN, 1, 1),
    "reset mid-body": Row(UNKNOWN, 1, 1),
    "stall before the answer": Row(UNKNOWN, 1, 1),
    "stall mid-body": Row(UNKNOWN, 1, 1),
    "body trickles": Row(UNKNOWN, 1, 1),
    # over sync httpx nothing bounds the headers as a whole, only each read
    "headers trickle": Row(UNKNOWN, 1, 1, unlike=((Client.HTTPX, ACCEPTED),)),
    # the key keeps a doubled request to one refund
    "duplicate, first answer": Row(ACCEPTED, 1, 1),
    "duplicate, second answer": Row(ACCEPTED, 1, 1),
    "duplicate, cut": Row(UNKNOWN, 1, 1),
    # no refund yet, one later
    "forward later": Row(UNKNOWN, 0, 1),
    "forward later, 502 now": Row(BURNT, 0, 1),
    "held": Row(UNKNOWN, 0, 1),
    # Stripe's own words, and those of strangers
    "409": Row(UNKNOWN, 0, 0),
    "429": Row(NOT_SENT, 0, 0),
    "429, lock": Row(NOT_SENT, 0, 0),
    "500": Row(BURNT, 0, 0),
    "502, HTML": Row(BURNT, 0, 0),
    "503": Row(BURNT, 0, 0),
    "401": Row(NOT_SENT_KEY, 0, 0),
    "403, HTML": Row(LOOK_AGAIN, 0, 0),
    "200, HTML": Row(UNKNOWN, 0, 0),
    "200, empty": Row(UNKNOWN, 0, 0),
    "200, a charge": Row(NOT_OURS, 0, 0),
    "200, another's refund": Row(NOT_OURS, 0, 0),
    # a no that was none
    "500 after forward": Row(BURNT, 1, 1),
    "502, HTML after forward": Row(BURNT, 1, 1),
    "200, empty after forward": Row(UNKNOWN, 1, 1),
    "302": Row(STRANGE, 0, 0),
    "303": Row(STRANGE, 0, 0),
    "307": Row(STRANGE, 0, 0),
    "308": Row(STRANGE, 0, 0),
    # odd, and wrong, ways to write an answer
    "length too long": Row(UNKNOWN, 1, 1),
    "length too short": Row(UNKNOWN, 1, 1),
    "no length": Row(ACCEPTED, 1, 1),
    "no length, cut": Row(UNKNOWN, 1, 1),
    "chunked": Row(ACCEPTED, 1, 1),
    "bad chunk": Row(UNKNOWN, 1, 1),
    "chunks cut": Row(UNKNOWN, 1, 1),
    "garbage status line": Row(UNKNOWN, 1, 1),
    "100 first": Row(ACCEPTED, 1, 1),
    "103 first": Row(ACCEPTED, 1, 1, unlike=((Client.REQUESTS, STRANGE),)),  # it takes a 103 for the last word
    "gzip": Row(ACCEPTED, 1, 1),
    "gzip that is none": Row(UNKNOWN, 1, 1),
    "Stripe-Notice": Row(ACCEPTED, 1, 1),
}
"""What each fault means for a send."""

# What a look may show.
WHOLE = "the whole picture"
UNREAD = "unread"
UNREAD_KEY = "unread, alarm credentials"
UNREAD_STRANGE = "unread, alarm not_stripe"

LOOKS: dict[str, str] = {
    "refused": UNREAD,
    "dropped before forward": UNREAD,
    "cut mid-headers": UNREAD,
    "cut mid-body": UNREAD,
    "stall mid-body": UNREAD,
    "body trickles": UNREAD,
    "duplicate, first answer": WHOLE,
    "429": UNREAD,
    "502, HTML": UNREAD,
    "401": UNREAD_KEY,
    "403, HTML": UNREAD_STRANGE,
    "200, HTML": UNREAD,
    "200, a charge": UNREAD,
    "302": UNREAD_STRANGE,
    "length too short": UNREAD,
    "no length, cut": UNREAD,
    "chunks cut": UNREAD,
    "gzip": WHOLE,
    "Stripe-Notice": WHOLE,
}
"""What each fault in one part of a look means for the look."""

READ_AGAIN = {("dropped before forward", Client.AIOHTTP), ("cut mid-headers", Client.AIOHTTP)}
"""aiohttp reads once more by itself where a connection used before is closed without an answer: it may, a read
changes nothing."""

REUSED = ["dropped before forward", "reset before forward", "cut after forward", "refused"]
"""The faults that clients are tempted to hide by sending again, where they strike a connection used before."""


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    """As in a strict host: a warning raised after the POST would lose its answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _comes_late(fault: Fault) -> bool:
    silent = isinstance(fault.answering, Cut) and fault.answering.then is Ending.SILENCE
    return silent or isinstance(fault.answering, Trickle)


def _of_connections(fault: Fault) -> bool:
    return isinstance(fault.answering, Refused | ResetEarly)


def _within_s(name: str) -> float:
    """Short where the fault is one of time; else so long that no load of the machine makes an answer late."""
    return EARLY_S if _comes_late(FAULTS[name]) else LONG_S


def test_the_table_knows_every_fault() -> None:
    """No fault is left without its meaning."""
    assert set(CREATES) == set(FAULTS)
    assert set(LOOKS) <= set(FAULTS)
    assert any(_comes_late(FAULTS[name]) for name in LOOKS)


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("name", CREATES)
def test_what_each_fault_means_for_a_send(name: str, client: Client, double: OurDouble) -> None:
    """One POST under one key leaves the client, the answer is the table's, and never two refunds are made."""
    # failure: B01
    _sent_through(name, client, double)


@pytest.mark.parametrize(
    "name", ["cut after forward", "duplicate, second answer", "forward later", "500 after forward"]
)
def test_what_the_worst_faults_mean_before_the_mock_of_others(name: str, mock: Mock) -> None:
    """Where it counts, a double that others wrote agrees with ours."""
    _sent_through(name, Client.REQUESTS, mock)


def _sent_through(name: str, client: Client, double: Double) -> None:
    fault, row, ref = FAULTS[name], CREATES[name], double.charge()
    send = send_of(ref)
    with (
        fault_proxy(double.base_address) as proxy,
        gateway(client, proxy.base_address, _within_s(name)) as port,
    ):
        proxy.script(CREATE, fault)
        assert _words(port.send(send)) in row.answers_over(client)
        if not _of_connections(fault):
            assert proxy.wait_until_struck() is fault
        assert double.marks(ref) == [send.refund_id] * row.made
        _one_request_left(proxy, send.refund_id, arrived=not _of_connections(fault))
        proxy.release()
        assert double.marks(ref) == [send.refund_id] * row.in_the_end
        _only_the_truth_is_read(port.look(ref), row.in_the_end)


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("name", ["duplicate, first answer", "duplicate, cut", "cut after forward"])
def test_a_destination_charge_gives_its_transfer_and_fee_back_once(
    name: str, client: Client, double: OurDouble
) -> None:
    """Doubled or cut off, the refund of a destination charge pulls the transfer back and returns the fee once."""
    fee = Money.parse("20.00", "USD")
    ref = double.bank.charge(AMOUNT, kind=ChargeKind.DESTINATION, destination="acct_1", application_fee=fee)
    with fault_proxy(double.base_address) as proxy, gateway(client, proxy.base_address) as port:
        proxy.script(CREATE, FAULTS[name])
        send = send_of(ref, DestinationCharge(return_fee=True))
        assert _words(port.send(send)) == CREATES[name].answer
        assert double.marks(ref) == [send.refund_id]
        (transfer,) = double.bank.connect.transfers(ref)
        assert transfer.reversed == transfer.amount
        assert double.bank.connect.fee(ref) == ApplicationFee(taken=fee, returned=fee)
        _one_request_left(proxy, send.refund_id, arrived=True)
        seen = port.look(ref)
        assert isinstance(seen, Picture)
        assert seen.payment.application_fee == ApplicationFee(taken=fee, returned=fee)


def _one_request_left(proxy: FaultProxy, key: str, *, arrived: bool) -> None:
    """The client sent one POST, marked and keyed alike, and went nowhere else."""
    posts = [request for request in proxy.seen if request.method == "POST"]
    assert len(posts) == len(proxy.seen) == (1 if arrived else 0)
    for post in posts:
        assert post.headers["idempotency-key"] == post.fields[f"metadata[{MARK}]"] == key


def _only_the_truth_is_read(look: Look, made: int) -> None:
    """What the fault left behind in the client's connections is never taken for an answer."""
    if isinstance(look, Picture):
        assert len(look.refunds) == made
    else:
        assert isinstance(look, Unread)


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("name", REUSED)
def test_nothing_is_sent_again_over_a_connection_used_before(name: str, client: Client, double: OurDouble) -> None:
    """A kept connection that dies under a POST is no reason to send it again, whatever the client would like."""
    fault, row, ref = FAULTS[name], CREATES[name], double.charge()
    with fault_proxy(double.base_address) as proxy, gateway(client, proxy.base_address) as port:
        assert isinstance(port.look(ref), Picture)
        proxy.script(CREATE, fault)
        assert _words(port.send(send_of(ref))) == row.answer
        assert len(proxy.requests(CREATE)) == (0 if _of_connections(fault) else 1)
        assert len(double.marks(ref)) == row.made


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("name", LOOKS)
def test_what_each_fault_means_for_a_look(name: str, client: Client, double: OurDouble) -> None:
    """A look of which the list of refunds was struck shows everything or decides nothing; nothing is sent."""
    ref = double.charge()
    double.refund_elsewhere(ref, 5_000)
    with (
        fault_proxy(double.base_address) as proxy,
        gateway(client, proxy.base_address, _within_s(name)) as port,
    ):
        proxy.script(Target("GET", "/v1/refunds"), FAULTS[name])
        seen = port.look(ref)
        match seen:
            case Picture(payment=payment, refunds=refunds):
                words = WHOLE
                assert payment.given_back.amount_minor == 5_000
                assert [refund.amount.amount_minor for refund in refunds] == [5_000]
            case Unread(alarm=alarm):
                words = UNREAD if alarm is None else f"{UNREAD}, alarm {alarm}"
            case _:
                words = type(seen).__name__
        assert words == (WHOLE if (name, client) in READ_AGAIN else LOOKS[name])
        assert proxy.requests(Target("POST")) == ()
        assert proxy.requests(Target("GET", ELSEWHERE)) == ()
        assert proxy.unused == 0
