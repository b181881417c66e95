"""`refunds payout`: a statement in a terminal, as JSON and as CSV says the same, adds up, and betrays nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import attrs
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from refund_adapters import cli
from refund_adapters.statements import commands, screen
from refund_adapters.statements.export import (
    LINE_COLUMNS,
    PART_COLUMNS,
    line_json,
    statement_json,
    write_lines,
    write_parts,
)
from refund_adapters.statements.labels import read_labels
from refund_adapters.statements.steps import Kind, headline, parts, steps
from refund_adapters.wording import GROUP
from refund_domain._checks import one_line
from refund_domain.answers import Missing, Unread
from refund_domain.money import Money
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import About, Entry, EntryPage, Group
from refund_domain.payouts.funds import Funds, Payout, PayoutStatus
from refund_domain.payouts.progress import ReadingProgress
from refund_domain.payouts.statement import KEPT_MOST, PayoutStatement, explain
from tests import canaries
from tests.adapters.payout_cases import BACK, CASES, SOLD, STORY, entry, made_of, payout, refunds

WIDTHS = (40, 60, 80, 200)


@attrs.define
class Source:
    """A source of one payout; `lost` of its calls for a page fail first, and `pages` are asked for in order."""

    held: Payout | Missing | Unread
    pages: Sequence[Sequence[Entry]] = ((SOLD,), (BACK,))
    lost: int = 0
    live: bool = True
    asked: list[tuple[str, str | None]] = attrs.Factory(list)

    def funds(self, account: str, /) -> Funds | Unread:
        """Nobody asks."""
        raise NotImplementedError

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        """The one there is."""
        return self.held

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        """The page, unless it is lost."""
        self.asked.append((account, after))
        if self.lost:
            self.lost -= 1
            return Unread(why="a page is missing")
        number = 0 if after is None else int(after)
        more = number + 1 < len(self.pages)
        return EntryPage(entries=tuple(self.pages[number]), after=str(number + 1) if more else None)

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        """Nobody asks."""
        raise NotImplementedError


def run(source: Source, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command over this source."""
    application = typer.Typer()
    application.callback()(lambda: None)
    commands.add_to(application, lambda: source, pause_s=0)
    done = CliRunner().invoke(application, ["payout", "po_1", *arguments], env={"COLUMNS": "80"})
    return done.exit_code, done.stdout, done.stderr


def told(statement: PayoutStatement, width: int = 80, encoding: str = "utf-8") -> str:
    """What a terminal of this width shows."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    screen.show(Console(file=file, width=width, highlight=False, markup=False, emoji=False), statement)
    file.flush()
    return raw.getvalue().decode(encoding)


def rows(text: str) -> list[dict[str, str]]:
    """A CSV as a program reads it."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def csv_of(statement: PayoutStatement) -> list[dict[str, str]]:
    """A statement's CSV."""
    file = io.StringIO(newline="")
    write_parts(file, statement)
    return rows(file.getvalue())


# --- the steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", CASES.values(), ids=CASES)
@pytest.mark.parametrize("named", [1, 2, 8, 100])
def test_steps_lead_from_expected_to_paid(statement: PayoutStatement, named: int) -> None:
    """However many refunds are named, each step begins where the last ended, and the end is the payout."""
    first, *changes, last = steps(statement, named=named)
    assert (first.kind, first.after) == (Kind.EXPECTED, statement.expected)
    at = first.after
    for step in changes:
        assert step.before == at
        assert step.amount.amount_minor
        at = step.after
    assert (last.kind, last.before.amount_minor, last.after) == (Kind.PAID, 0, at)
    assert at == statement.paid
    assert sum(step.name.startswith("Refund: ") for step in changes) <= named


def test_largest_refunds_are_named_and_the_rest_share_a_step() -> None:
    """Of twelve refunds the largest seven have a step, and five share one; eight have one each."""
    twelve = [step for step in steps(made_of([SOLD, *refunds(12)])) if not step.is_sum]
    assert [step.name for step in twelve][:2] == ["Refund: payment ch_12", "Refund: payment ch_11"]
    assert (len(twelve), twelve[-1].name, twelve[-1].said) == (8, "5 more refunds", "-150.25")
    eight = [step for step in steps(made_of([SOLD, *refunds(8)])) if not step.is_sum]
    assert [step.name for step in eight][:2] == ["Refund: booking 1042", "Refund: payment ch_2"]
    assert len(eight) == 8


def test_refunds_beyond_the_kept_lines_are_in_the_steps() -> None:
    """Of more refunds than a statement keeps lines of, none is lost: the rest is counted with all of them."""
    statement = made_of([SOLD, *refunds(KEPT_MOST + 5)])
    assert statement.left_out == 6
    assert steps(statement)[-2].name == f"{KEPT_MOST - 2:,} more refunds"
    assert steps(statement)[-1].after == statement.paid
    assert csv_of(statement)[-1]["name"] == "5 more refunds"


def test_a_fee_is_part_of_its_refund_and_what_came_to_nothing_has_no_step() -> None:
    """A refund's step holds the fee taken for it; a dispute that was lost and won again changed nothing."""
    fee = CASES["a refund with a fee"]
    assert [(step.name, step.said) for step in steps(fee)][1:] == [
        ("Refund: booking 1042", "-202.50"),
        ("Paid out", "297.50"),
    ]
    assert json.loads(statement_json(fee))["refunds"][0]["net"] == {"amount_minor": -20_250, "currency": "USD"}
    won = CASES["a dispute that was won"]
    assert [step.name for step in steps(won)] == ["Expected", "Refund: booking 1042", "Paid out"]
    assert Group.DISPUTES in [total.group for total in won.totals]


def test_the_end_says_what_happened_and_no_more() -> None:
    """Only a payout that is paid is called paid; one below nothing was taken from the bank account."""
    for status, name in ((PayoutStatus.PAID, "Paid out"), (PayoutStatus.IN_TRANSIT, "Payout")):
        assert steps(explain(payout(0, status=status), []))[-1].name == name
    debit = CASES["only a debit"]
    assert steps(debit)[-1].name == "Taken from the bank account"
    coming = attrs.evolve(debit, payout=attrs.evolve(debit.payout, status=PayoutStatus.PENDING))
    assert steps(coming)[-1].name == "To be taken from the bank account"
    assert headline(coming).endswith(" to be taken from the bank account")


def test_odd_arguments_are_refused() -> None:
    """Nothing but a statement has parts, and at least one refund is named."""
    with pytest.raises(TypeError):
        list(parts(STORY.payout, ()))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="named"):
        steps(STORY, named=0)


# --- the terminal ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("statement", CASES.values(), ids=CASES)
def test_terminal_shows_it_within_its_width(statement: PayoutStatement, encoding: str, width: int) -> None:
    """The sentence first, every amount with its sign, no line too long, no trailing blank; in ASCII, too."""
    text = told(statement, width, encoding)
    lines = text.splitlines()
    assert " ".join(text.split()).startswith(" ".join(one_line(statement.sentence).split()))
    assert [line for line in lines if len(line) > max(width, 60)] == []
    assert [line for line in lines if line != line.rstrip()] == []
    shown = text.split()
    assert [step.said for step in steps(statement) if step.said not in shown] == []
    assert [total for total in statement.totals if total.amount.major not in shown] == []


def test_bars_are_in_proportion() -> None:
    """Half the money is half the bar, a refund hangs at the end of what is left, and a cent has a cell."""
    lines = told(made_of([SOLD, entry("r", "refund", -25_000, "ch_1")]), 80).splitlines()
    expected, back, paid = [line for line in lines if "█" in line or "▒" in line]
    assert abs(expected.count("█") - 2 * paid.count("█")) <= 1
    assert abs(back.count("▒") - paid.count("█")) <= 1
    assert back.index("▒") == paid.rindex("█") + 1
    (cent,) = [line for line in told(CASES["a cent too much"]).splitlines() if "?" in line]
    assert cent.count("?") == 1


def test_kinds_differ_without_colour() -> None:
    """Each kind of step has a mark of its own, in blocks and in ASCII, and none is a blank."""
    for marks in (screen.BLOCKS, screen.ASCII):
        assert set(marks.bars) == set(Kind)
        kinds = {mark for kind, mark in marks.bars.items() if kind is not Kind.PAID}
        assert len(kinds) == len(Kind) - 1
        assert " " not in {*kinds, marks.zero}


def test_an_output_of_ascii_has_marks_of_its_own() -> None:
    """Where blocks cannot be written bars are of ASCII, and a letter that is lacking is a question mark."""
    text = told(made_of([SOLD, BACK], labels=lambda charge: "Zoë"), encoding="ascii")
    assert "Refund: Zo?" in text
    assert [mark for mark in "#-" if mark * 8 not in text] == []
    assert "█" in told(STORY)


def test_long_names_take_two_lines_and_are_cut_visibly() -> None:
    """However long a label is, its step has two lines, and the second ends with a mark."""
    lines = told(CASES["twelve long names"]).splitlines()
    first = next(number for number, line in enumerate(lines) if "Expected" in line)
    last = next(number for number, line in enumerate(lines) if "5 more refunds" in line)
    assert last - first == 1 + 2 * 7
    assert all(line.endswith("…") for line in lines[first + 2 : last : 2])


def test_what_refunds_cost_is_told() -> None:
    """Fees kept of refunded payments are told where they are known, and else not mentioned."""
    fees = made_of([entry("r", "refund", -51_500, "ch_9"), SOLD, entry("d", "charge", 90_000, "ch_8")])
    assert "the refunds cost 15.00 USD" in " ".join(told(fees).split())
    assert "cost" not in told(STORY)
    returned = made_of([SOLD, entry("r", "refund", -20_000, "ch_9", fee=-300)])
    assert "cost" not in told(returned)  # what came back is no cost


def test_a_label_steers_no_terminal() -> None:
    """Escape codes, line breaks and marks that turn the writing round do not reach the screen."""
    odd = made_of([SOLD, BACK], labels=lambda charge: "a\x1b[2Jb\n\u202ec\x07")
    assert not {"\x1b", "\u202e", "\x07"} & set(told(odd))
    assert "Refund: a [2Jb c" in told(odd)


# --- JSON and CSV ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", CASES.values(), ids=CASES)
def test_json_and_csv_add_up(statement: PayoutStatement) -> None:
    """The totals of the JSON, and the column of the CSV as a spreadsheet sums it, are the payout to the unit."""
    data = json.loads(statement_json(statement))
    paid = statement.paid
    assert (
        data["paid"]
        == data["payout"]["amount"]
        == {"amount_minor": paid.amount_minor, "currency": str(paid.currency)}
    )
    assert sum(total["amount"]["amount_minor"] for total in data["totals"]) == paid.amount_minor
    assert len(data["refunds"]) == len(statement.refunds)
    assert sum(Decimal(row["amount"]) for row in csv_of(statement)) == Decimal(paid.major)


def test_json_has_its_documented_keys() -> None:
    """The keys are those of the page, and amounts are whole numbers of minor units."""
    data = json.loads(statement_json(STORY))
    assert list(data) == [
        "payout", "sentence", "estimate", "expected", "paid", "totals", "refunds", "refunds_cost",
        "lines_left_out",
    ]  # fmt: skip
    assert data["totals"][-1] == {
        "group": "refunds",
        "amount": {"amount_minor": -20_000, "currency": "USD"},
        "entries": 1,
    }
    (line,) = data["refunds"]
    assert (line["label"], line["charge"], line["net"]["amount_minor"]) == ("booking 1042", "ch_1", -20_000)
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "payouts.md").read_text()
    missing = [key for key in (*data, *line, *PART_COLUMNS, *LINE_COLUMNS) if f"`{key}`" not in page]
    assert missing == []


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "＝", "'"])
def test_no_cell_is_a_formula(start: str) -> None:
    """A label that a spreadsheet would run begins with an apostrophe; amounts stay numbers, also below zero."""
    evil = f'{start}HYPERLINK("http://evil.example","x"),'
    statement = made_of([SOLD, BACK], labels=lambda charge: evil)
    back = csv_of(statement)[-1]
    assert back["amount"] == "-200.00"
    assert not back["name"].startswith(("=", "+", "-", "@", "\t", "\r", "\n", " ", "＝"))
    file = io.StringIO(newline="")
    write_lines(file, [attrs.evolve(line, label=evil) for line in statement.lines])
    (first, *_) = rows(file.getvalue())
    assert first["name"] == f"'{evil}"
    assert (first["amount"], first["net"]) == ("-200.00", "-200.00")
    about = About(id="re_1", rate=evil)
    file = io.StringIO(newline="")
    write_lines(file, [attrs.evolve(statement.refunds[0], about=about)])
    assert rows(file.getvalue())[0]["rate"] == f"'{evil}"


def test_csv_is_quoted_after_the_norm() -> None:
    """Every cell is quoted, quotes are doubled, rows end with CR LF, and line breaks stay within their cell."""
    file = io.StringIO(newline="")
    write_lines(file, [attrs.evolve(each, label='the "old"\nfarm, 12') for each in made_of([BACK]).lines])
    text = file.getvalue()
    assert text.count("\r\n") == 2
    assert '"the ""old""\nfarm, 12"' in text
    assert rows(text)[0]["name"] == 'the "old"\nfarm, 12'


def test_lines_tell_what_the_client_saw() -> None:
    """Another currency, the rate and the fee kept are in each form of a line."""
    assert STORY.lines[0].about is not None
    about = attrs.evolve(STORY.lines[0].about, amount=Money.parse("-180.00", "EUR"), rate="1.1111", mark="ours1")
    line = attrs.evolve(STORY.lines[0], about=about, fee_kept=Money.parse("6.10", "USD"))
    data = json.loads(line_json(line))
    assert (data["client_amount"], data["rate"]) == ({"amount_minor": -18_000, "currency": "EUR"}, "1.1111")
    assert (data["refund"], data["fee_kept"]["amount_minor"]) == ("ours1", 610)
    file = io.StringIO(newline="")
    assert write_lines(file, [line]) == 1
    (row,) = rows(file.getvalue())
    assert (row["client_amount"], row["client_currency"], row["rate"]) == ("-180.00", "EUR", "1.1111")
    assert (row["refund"], row["fee_kept"]) == ("ours1", "6.10 USD")


# --- the command -----------------------------------------------------------------------------------------------


def test_command_tells_the_story(tmp_path: Path) -> None:
    """The sentence with the host's label, bars and table on standard output, nothing on the other, exit code 0."""
    file = tmp_path / "labels.csv"
    file.write_text("charge,label\nch_1,booking 1042\n")
    code, out, err = run(Source(payout(30_000)), "--labels", str(file))
    assert (code, err) == (0, "")
    assert "300.00 USD instead of 500.00 USD: 200.00 USD went back to the client of booking" in out
    assert "Refund: booking 1042" in out


def test_command_writes_json_and_csv() -> None:
    """`--json` is one line; `--csv` has a heading; both at once is refused before anything is read."""
    code, out, _ = run(Source(payout(30_000)), "--json")
    assert (code, json.loads(out)["expected"]["amount_minor"], out.count("\n")) == (0, 50_000, 1)
    code, out, _ = run(Source(payout(30_000)), "--csv")
    assert code == 0
    assert list(rows(out)[0]) == list(PART_COLUMNS)
    source = Source(payout(30_000))
    assert run(source, "--csv", "--json")[0] == 2
    assert source.asked == []


def test_command_writes_every_line_as_it_comes() -> None:
    """`--lines` has an entry a line in each form, in the order of the source, and counts them."""
    code, out, err = run(Source(payout(30_000)), "--lines")
    assert (code, err) == (0, "2 lines\n")
    assert [line.split()[1] for line in out.splitlines()] == ["500.00", "-200.00"]
    code, out, _ = run(Source(payout(30_000)), "--lines", "--json")
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["c", "r"]
    code, out, _ = run(Source(payout(30_000)), "--lines", "--csv")
    assert sum(Decimal(row["net"]) for row in rows(out)) == Decimal("300.00")
    assert list(rows(out)[0]) == list(LINE_COLUMNS)


@pytest.mark.parametrize("form", [(), ("--lines",), ("--csv",), ("--csv", "--lines")])
@pytest.mark.parametrize(
    ("held", "says"),
    [
        (Missing(), "There is no such payout."),
        (attrs.evolve(payout(1), reconciled=False), "Try again later."),
        (payout(1, automatic=False), "Ask for an estimate by dates."),
    ],
    ids=["none", "not reconciled", "by hand"],
)
def test_what_cannot_be_explained_is_exit_code_one(
    held: Payout | Missing, says: str, form: tuple[str, ...]
) -> None:
    """The reason is told on standard error, nothing on standard output, and no page is read."""
    source = Source(held)
    code, out, err = run(source, *form)
    assert (code, out) == (1, "")
    assert says in err
    assert source.asked == []


def test_json_says_why_not_in_json() -> None:
    """A program reads the stable word on standard output beside exit code 1."""
    code, out, _ = run(Source(Missing()), "--json")
    assert (code, json.loads(out)["not_explained"]) == (1, "payout_not_found")


def test_estimate_is_asked_for_and_says_so() -> None:
    """A payout made by hand is explained by dates with `--estimate` alone."""
    held = attrs.evolve(payout(30_000, automatic=False), created_at=STORY.lines[0].at)
    code, out, _ = run(Source(held), "--estimate")
    assert code == 0
    assert "an estimate by dates" in out
    assert run(Source(held), "--estimate", "--lines")[0] == 0


def test_what_was_carried_over_is_told_apart_where_the_schedule_is_known() -> None:
    """`--every` says how often the account is paid out; without it a debt from before is told by what made it."""
    made = STORY.lines[0].at + timedelta(days=30)
    held = attrs.evolve(payout(30_000), created_at=made, before_at=made - timedelta(days=14))
    early = attrs.evolve(BACK, available_s=int((made - timedelta(days=8)).timestamp()))
    sold = attrs.evolve(SOLD, available_s=int(made.timestamp()))
    _, out, _ = run(Source(held, pages=((sold, early),)), "--every", "7")
    assert "Below nothing from before" in out
    _, out, _ = run(Source(held, pages=((sold, early),)))
    assert "Below nothing from before" not in out


def test_a_lost_page_is_asked_for_again() -> None:
    """Two losses are overcome without reading a page twice; what stays lost is exit code 2."""
    source = Source(payout(30_000), lost=2)
    assert run(source)[0] == 0
    assert [after for _, after in source.asked] == [None, None, None, "1"]
    code, out, err = run(Source(payout(30_000), lost=9))
    assert (code, out) == (2, "")
    assert "a page is missing" in err
    assert run(Source(Unread(why="the network is down")))[0] == 2
    assert run(Source(Unread(why="the network is down")), "--lines")[0] == 2


def test_contradictions_and_odd_ids_are_exit_code_two() -> None:
    """An entry that does not add up, and an account that is no id, are told in a sentence and no traceback."""
    odd = attrs.evolve(BACK, net_minor=7)
    code, out, err = run(Source(payout(30_000), pages=((odd,),)))
    assert (code, out) == (2, "")
    assert "does not add up" in err
    assert run(Source(payout(30_000)), "--account", "no id!")[0] == 2


def test_account_is_passed_on() -> None:
    """`--account` is whose pages are read; without it the platform's."""
    for arguments, account in (((), "platform"), (("--account", "acct_7"), "acct_7")):
        source = Source(payout(30_000))
        run(source, *arguments)
        assert {asked for asked, _ in source.asked} == {account}


def test_progress_is_told_now_and_then() -> None:
    """A long payout tells on standard error how far it is, and standard output stays clean."""
    pages = [[entry(f"p{number}", "charge", 1, f"ch_{number}")] for number in range(250)]
    code, out, err = run(Source(payout(250), pages=pages), "--json")
    assert code == 0
    assert err.splitlines() == [
        "payout po_1NxYzA2eZvKYlo2C: 100 entries on 100 pages",
        "payout po_1NxYzA2eZvKYlo2C: 200 entries on 200 pages",
    ]
    assert json.loads(out)["paid"]["amount_minor"] == 250


def test_progress_on_a_terminal_is_one_line() -> None:
    """On a terminal one line is written over and over, and left before anything else is told."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Terminal()
    progress = commands._Progress(file)
    for pages in (1, 2):
        progress.told(ReadingProgress(payout="po_1", entries=pages, pages=pages))
    progress.end()
    progress.end()
    assert file.getvalue().count("\r") == 2
    assert file.getvalue().endswith("2 entries on 2 pages\n")


def test_command_wants_a_key_and_never_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, and with an odd one, exit code 2 and what to set; the key is shown nowhere."""
    monkeypatch.delenv(commands.KEY, raising=False)
    done = CliRunner().invoke(cli.app(), ["payout", "po_1"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "STRIPE_SECRET_KEY" in done.stderr
    for key in (f"{canaries.LIVE_KEY} ", "s3cret"):
        done = CliRunner().invoke(cli.app(), ["payout", "po_1"], env={commands.KEY: key})
        assert done.exit_code == 2
        assert "s3cret" not in done.stdout + done.stderr
        assert canaries.found_in(done.stdout + done.stderr) == ()


def test_a_key_is_no_argument() -> None:
    """No option of the command takes a key, which every user of the machine could list."""
    done = CliRunner().invoke(cli.app(), ["payout", "--help"])
    assert done.exit_code == 0
    assert "--key" not in done.stdout
    assert run(Source(payout(30_000)), "--key", "sk_test_x")[0] == 2


# --- the labels ------------------------------------------------------------------------------------------------


def test_labels_are_read_as_people_write_them(tmp_path: Path) -> None:
    """A heading, blank rows, Excel's mark of UTF-8, quotes and an empty label are all well."""
    file = tmp_path / "labels.csv"
    file.write_bytes(
        '\ufeffcharge,label\r\n\r\nch_1,"booking ""1042"", Hill Road"\r\nch_2,\r\nch_3,é\r\n'.encode()
    )
    assert read_labels(file) == {"ch_1": 'booking "1042", Hill Road', "ch_3": "é"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"ch_1,a\nch_2;b\n", "line 2 has not just two cells"),
        (b"ch_1,Carla Canary,x\n", "line 1"),
        (b",a\n", "line 1"),
        (b"ch_1,\xff\n", "UTF-8"),
        (b'ch_1,"a\n', "quotation mark"),
    ],
)
def test_odd_labels_are_named_by_line_and_never_shown(tmp_path: Path, content: bytes, says: str) -> None:
    """What is no list of labels is exit code 2 with the line, none of its text, and nothing is read."""
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    source = Source(payout(30_000))
    code, out, err = run(source, "--labels", str(file))
    assert (code, out, source.asked) == (2, "", [])
    assert says in err
    assert canaries.found_in(err) == ()


def test_missing_labels_are_said(tmp_path: Path) -> None:
    """A file that is not there is exit code 2, in a sentence."""
    code, _, err = run(Source(payout(30_000)), "--labels", str(tmp_path / "none.csv"))
    assert code == 2
    assert "No such file" in err


def test_every_group_has_its_heading() -> None:
    """No two groups share a heading, and no heading is wider than the table."""
    assert set(GROUP) == set(Group)
    assert len(set(GROUP.values())) == len(Group)
    assert max(map(len, GROUP.values())) < 30
