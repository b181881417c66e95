"""B6: the statement of a payout of N balance transactions, from the bytes of Stripe's answers to the totals.

Every way is given the same pages of a hundred, as bytes, and must come to the same totals by category. The pages
are made up (no client is in them), and as long as Stripe's own where nothing is expanded.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import attrs

from refund_domain.money import Currency, Money
from refund_domain.payouts.entries import CATEGORIES
from refund_domain.payouts.funds import Payout
from refund_domain.payouts.statement import Explanation
from tests.benchmarks.peers import duckdb, msgspec, pandas, polars
from tests.benchmarks.timing import Case, Timed, measure

ROOT: Final = Path(__file__).parents[2]
USD: Final = Currency.of("USD")
PAGE: Final = 100
Sums = dict[str, int]
"""What each category adds to the payout."""


def row(number: int) -> dict[str, Any]:
    """Balance transaction number so and so: of ten entries one is a refund, the others are payments with fees."""
    refund = number % 10 == 0
    amount = -(number % 7_919 + 50) if refund else number % 49_999 + 100
    fee = 0 if refund else amount * 29 // 1000 + 30
    name = f"{number:024}"
    details = {"amount": fee, "application": None, "currency": "usd", "description": "Stripe processing fees"}
    return {
        "id": f"txn_{name}",
        "object": "balance_transaction",
        "amount": amount,
        "available_on": 1_772_496_000,
        "balance_type": "payments",
        "created": 1_772_101_234 - number,
        "currency": "usd",
        "description": f"Booking {number}",
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [] if refund else [{**details, "type": "stripe_fee"}],
        "net": amount - fee,
        "reporting_category": "refund" if refund else "charge",
        "source": f"{'re' if refund else 'ch'}_{name}",
        "status": "available",
        "type": "refund" if refund else "charge",
    }


def page(first: int, size: int, total: int) -> bytes:
    """A page of the list, as Stripe writes it."""
    body = {
        "object": "list",
        "data": [row(number) for number in range(first, first + size)],
        "has_more": first + size < total,
        "url": "/v1/balance_transactions",
    }
    return json.dumps(body, indent=2).encode()


def pages(total: int) -> list[bytes]:
    """All pages of so many entries."""
    return [page(first, PAGE, total) for first in range(0, total, PAGE)]


def expected(total: int) -> Sums:
    """What every way must come to."""
    sums: Sums = {}
    for number in range(total):
        each = row(number)
        sums[each["reporting_category"]] = sums.get(each["reporting_category"], 0) + each["net"]
    return sums


def ours(bodies: list[bytes]) -> Sums:
    """By the library: decode, check, group, keep the refunds, make the statement."""
    from refund_adapters.stripe._entries import rows_of

    payout = Payout(id="po_1", amount=Money(0, USD), arrives_on=date(2026, 3, 4))
    explanation = Explanation(payout)
    for body in bodies:
        explanation.add(rows_of(body).entries)
    statement = explanation.statement()
    words = {str(group): word for word, group in CATEGORIES.items() if word in ("charge", "refund")}
    sums: Sums = {}
    for total in statement.totals:
        word = words.get(str(total.group), "charge" if total.group == "fees" else "")
        if word:
            sums[word] = sums.get(word, 0) + total.amount.amount_minor
    return sums


def _added(rows: Iterator[tuple[str, int]]) -> Sums:
    sums: Sums = {}
    for category, net in rows:
        sums[category] = sums.get(category, 0) + net
    return sums


def by_auto_paging(bodies: list[bytes]) -> Sums:
    """By stripe-python's auto-paging over a canned transport."""
    client = _client(bodies)
    listed = client.v1.balance_transactions.list({"payout": "po_1", "limit": PAGE})
    return _added((each.reporting_category, each.net) for each in listed.auto_paging_iter())


def by_raw_requests(bodies: list[bytes]) -> Sums:
    """By stripe-python's raw requests, and json."""
    client, after, sums = _client(bodies), "", Sums()
    while True:
        path = f"/v1/balance_transactions?payout=po_1&limit={PAGE}{after}"
        body = json.loads(client.raw_request("get", path).body)
        for each in body["data"]:
            sums[each["reporting_category"]] = sums.get(each["reporting_category"], 0) + each["net"]
        if not body["has_more"]:
            return sums
        after = f"&starting_after={body['data'][-1]['id']}"


def _client(bodies: list[bytes]) -> Any:
    import stripe

    class Canned(stripe.HTTPClient):
        """Answers the pages in their order."""

        name = "canned"

        def __init__(self) -> None:
            super().__init__()
            self.left = iter(bodies)

        def request(  # type: ignore[override]  # as stripe-python's own clients: the answer is bytes
            self, method: str, url: str, headers: object, post_data: object = None
        ) -> tuple[bytes, int, dict[str, str]]:
            return next(self.left), 200, {}

    return stripe.StripeClient("sk_test_bench", http_client=Canned(), max_network_retries=0)


def by_json(bodies: list[bytes]) -> Sums:
    """By json alone: read and decode, and add up."""
    decoded = (each for body in bodies for each in json.loads(body)["data"])
    return _added((each["reporting_category"], each["net"]) for each in decoded)


def typed_decoder() -> Callable[[list[bytes]], Sums]:
    """By msgspec alone: read and decode, typed, the members that a statement needs, and add up."""
    bare = msgspec()
    members: list[tuple[str, Any]] = [
        *((name, int) for name in "amount fee net created available_on".split()),
        *((name, str) for name in "id currency type reporting_category".split()),
        ("exchange_rate", float | None),
        ("source", str | None),
    ]
    entry = bare.defstruct("Entry", members, gc=False)
    decode = bare.json.Decoder(bare.defstruct("Page", [("data", list.__class_getitem__(entry))])).decode

    def by_msgspec(bodies: list[bytes]) -> Sums:
        decoded = (each for body in bodies for each in decode(body).data)
        return _added((each.reporting_category, each.net) for each in decoded)

    return by_msgspec


def by_pandas(bodies: list[bytes]) -> Sums:
    """By pandas, all at once."""
    frame = pandas().DataFrame([each for body in bodies for each in json.loads(body)["data"]])
    return {str(word): int(net) for word, net in frame.groupby("reporting_category")["net"].sum().items()}


def by_polars(bodies: list[bytes]) -> Sums:
    """By polars, all at once, from lines of JSON."""
    pl = polars()
    frames = [pl.DataFrame(json.loads(body)["data"], infer_schema_length=None) for body in bodies]
    sums = pl.concat(frames, how="vertical_relaxed").group_by("reporting_category").agg(pl.col("net").sum())
    return {word: int(net) for word, net in sums.iter_rows()}


def by_duckdb(folder: Path) -> Sums:
    """By DuckDB, all at once, from a file for each page, on all cores."""
    columns = "{data: 'STRUCT(reporting_category VARCHAR, net BIGINT)[]'}"
    asked = (
        "select r.reporting_category, sum(r.net) from "
        f"(select unnest(data) as r from read_json('{folder}/*.json', columns={columns})) group by 1"
    )
    return {word: int(net) for word, net in duckdb().sql(asked).fetchall()}


def _cases(total: int, folder: Path, *, slow: bool) -> list[Case]:
    bodies, answer = pages(total), expected(total)
    name = f"{total:,} entries, each"
    typed = typed_decoder()
    bare, auto = f"msgspec alone, typed, {name}", f"stripe-python's auto-paging, {name}"

    def case(title: str, work: Callable[[], Sums], **more: Any) -> Case:
        return Case(name=title, work=work, calls=total, answer=answer, **more)

    for number, body in enumerate(bodies):
        (folder / f"{number:06}.json").write_bytes(body)
    cases = [
        case(f"the statement, {name}", lambda: ours(bodies), reach="≤ 2.5×", against=bare),
        case(bare, lambda: typed(bodies)),
        case(f"json, {name}", lambda: by_json(bodies)),
        case(f"DuckDB, from files, on all cores, {name}", lambda: by_duckdb(folder)),
    ]
    if slow:
        cases += [
            case(auto, lambda: by_auto_paging(bodies)),
            case(f"stripe-python's raw requests and json, {name}", lambda: by_raw_requests(bodies)),
            case(f"pandas, {name}", lambda: by_pandas(bodies)),
            case(f"polars, {name}", lambda: by_polars(bodies)),
        ]
        faster = attrs.evolve(cases[0], name=f"the statement beside auto-paging, {name}", reach="≤ 0.025×")
        cases.append(attrs.evolve(faster, against=auto))
    return cases


_MEMORY: Final = """
import sys
from tests.benchmarks.statements import PAGE, memory_of
print(memory_of(int(sys.argv[1])))
"""


def memory_of(total: int) -> int:
    """The most memory this process ever had, in KiB, after explaining so many entries, made page by page."""
    from refund_adapters.stripe._entries import rows_of

    explanation = Explanation(Payout(id="po_1", amount=Money(0, USD), arrives_on=date(2026, 3, 4)))
    known = [page(first, PAGE, total) for first in range(0, 10 * PAGE, PAGE)]
    for body in itertools.islice(itertools.cycle(known), total // PAGE):
        explanation.add(rows_of(body).entries)
    if explanation.seen != total or not explanation.statement().totals:
        raise RuntimeError("not all entries were explained")
    (line,) = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1])


def _memory(sizes: tuple[int, int]) -> str:
    """What a process of its own needs for each size, in words."""
    small, large = (
        int(
            subprocess.run(
                [sys.executable, "-c", _MEMORY, str(size)], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout
        )
        for size in sizes
    )
    return f"{small / 1024:.0f} MiB at {sizes[0]:,}, {large / 1024:.0f} MiB at {sizes[1]:,}: {large / small:.2f}×"


def b6(quick: bool) -> list[Timed]:
    """The rows of B6."""
    rows: list[Timed] = []
    sizes = [(500, True)] if quick else [(10_000, True), (100_000, True), (1_000_000, False)]
    for total, slow in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(_cases(total, Path(folder), slow=slow), 2 if quick else 3 if total > 10_000 else 7)
    words = _memory((1_000, 10_000) if quick else (100_000, 1_000_000))
    return [attrs.evolve(rows[0], note=words), *rows[1:]]
