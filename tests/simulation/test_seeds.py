"""The simulator over the shipped loop: nothing doubles, nothing is lost, everything comes to rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from refund_adapters.simulation.__main__ import main
from refund_adapters.simulation.actions import Deliver
from refund_adapters.simulation.batches import run_batch, run_one
from refund_adapters.simulation.journals import Journal
from refund_adapters.simulation.modes import (
    BROKEN,
    CAP_OFF,
    CAP_OFF_TOLD,
    CAP_ON,
    CAP_ON_TOLD,
    JUMPING,
    MODES,
    PROMISED,
    RECONCILED,
    SEPARATE,
    SOUND,
)
from refund_adapters.simulation.ports import FAULTS_AT, PAGE_FAULTS, SEND_FAULTS
from refund_adapters.simulation.report import Tally
from refund_adapters.simulation.run import replay
from refund_adapters.simulation.scenario import Taken
from refund_adapters.simulation.shrink import shorten, told
from refund_adapters.simulation.webhooks import TWISTS
from tests.simulation.mutants import MUTANTS

STEPS = 300
WITHIN = {
    "broken-key_life": 40,
    "broken-executes_late": 30,
    "broken-completes_late": 270,
    "broken-list_lag": 50,
    "broken-clock_skew": 120,
    "broken-append_lost": 20,
}
"""Within how many seeds from 0 each broken assumption must be found."""


EVERY_MODE = pytest.mark.parametrize("mode", [mode.name for mode in PROMISED])


@EVERY_MODE
def test_no_seed_breaks_an_invariant_over_the_memory_journal(mode: str) -> None:
    """Under every fault at once no refund doubles, is lost or stays stuck: with and without cap, webhooks, and
    reconciliation."""
    tally = run_batch(mode, Journal.MEMORY.value, 0, 200, STEPS)
    never = [] if MODES[mode].reconciles else list(PAGE_FAULTS)
    if _missing(tally) != never:  # a fault that so many seeds happened not to draw comes in a few more
        tally.merge(run_batch(mode, Journal.MEMORY.value, 200, 500, STEPS))
    assert (tally.failing, dict(tally.broken)) == ([], {})
    assert tally.refunds > 200
    missing = _missing(tally)
    if MODES[mode].guards:  # much is held back there, so that a fault of sends may not come up in so few seeds
        missing = [fault for fault in missing if fault not in SEND_FAULTS]
    assert missing == never
    rarely = [name for name in _RECONCILED if tally.counts[name] < 10]
    assert rarely == ([] if MODES[mode].reconciles else list(_RECONCILED))
    assert tally.counts["crash"] > 100
    assert tally.counts["clock jump"] > 10
    assert tally.counts["fee"] > 10
    assert {name for name in tally.counts if name.startswith("sent ")} == _SENT
    received = [f"signal forged: {twist}" for twist in TWISTS] + [f"signal {each}" for each in _RECEIVED]
    seldom = [name for name in received if tally.counts[name] < 10]
    assert seldom == ([] if MODES[mode].webhooks else received)
    unguarded = [name for name in _GUARDED if tally.counts[name] < 30]
    assert unguarded == ([] if MODES[mode].guards else list(_GUARDED))


def _missing(tally: Tally) -> list[str]:
    """The faults that never befell a call."""
    return [fault for faults in FAULTS_AT.values() for fault in faults if not tally.counts[f"fault {fault}"]]


_SENT = {
    "sent PlatformCharge",
    *(f"sent {kind}{fee}" for kind in ("DirectCharge", "DestinationCharge") for fee in ("", " with its fee")),
}
"""What is sent for, in every mode."""

_RECONCILED = (
    "op reconcile", "op reconcile_account", "reconciled: reconciled", "reconciled: unowned",
    "reconciled: unreconciled", "reconciled: page lost", "reconciled: to its end",
)  # fmt: skip
"""What is asked for, and what comes of it, where accounts are reconciled."""

_GUARDED = (
    "op approve", "approved", "second person needed",
    "control Paused", "control Resumed", "control AllowanceTaken",
)  # fmt: skip
"""What is tried where people pause, and where a policy wants second persons and limits."""

_RECEIVED = (
    "merged", "handed", "reported", "refund.created", "refund.updated", "refund.failed", "charge.refunded",
    "charge.dispute.created", "charge.dispute.closed", "payout.paid", "application_fee.refunded",
)  # fmt: skip
"""What signals speak of, and what becomes of them."""


@pytest.mark.parametrize("mode", [mode.name for mode in SEPARATE])
def test_no_seed_of_separate_charges_breaks_an_invariant(mode: str) -> None:
    """Per transfer at most what was planned is pulled back by us, once, after its refund, and in the end always; a
    leg that fails changes no refund. With lost answers, late execution, empty balances, and persons who reverse by
    hand (failures A17, B11)."""
    # failure: A17
    # failure: B11
    tally = run_batch(mode, Journal.MEMORY.value, 0, 300, STEPS)
    assert (tally.failing, dict(tally.broken)) == ([], {})
    guards = MODES[mode].guards  # which hold many sends back
    assert tally.counts["leg asked for"] > (50 if guards else 100)
    assert [name for name in _GUARDED if tally.counts[name] < 30] == ([] if guards else list(_GUARDED))
    rarely = ("leg asked for in a later attempt", "leg found by its mark", "leg ended by time")
    assert [name for name in rarely if not tally.counts[name]] == []
    sqlite = run_batch(mode, Journal.SQLITE.value, 0, 15, STEPS)
    assert (sqlite.failing, dict(sqlite.broken)) == ([], {})


@EVERY_MODE
def test_no_seed_breaks_an_invariant_over_the_sqlite_journal(mode: str) -> None:
    """The same over SQLite files, each worker with a handle and a clock of its own."""
    tally = run_batch(mode, Journal.SQLITE.value, 0, 15, STEPS)
    assert (tally.failing, dict(tally.broken)) == ([], {})
    assert tally.refunds > 15


@pytest.mark.parametrize("mode", [mode.name for mode in BROKEN])
def test_a_broken_assumption_is_found(mode: str) -> None:
    """A world that breaks what the policy assumes is found out within the stated number of seeds."""
    found = (run_one(seed, STEPS, mode).violation for seed in range(WITHIN[mode]))
    assert any(violation is not None for violation in found)


def test_the_journals_make_no_difference() -> None:
    """A seed does the same over both journals: the same trace, the same end."""
    for seed in range(3):
        memory = run_one(seed, STEPS, CAP_OFF_TOLD.name)
        sqlite = run_one(seed, STEPS, CAP_OFF_TOLD.name, Journal.SQLITE)
        assert memory.digest == sqlite.digest


def _digest_in_another_process(hash_seed: str) -> str:
    command = [sys.executable, "-m", "refund_adapters.simulation", "--seed-trace", "7", "--mode", CAP_ON.name]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_seed_is_the_same_under_any_hash_seed() -> None:
    """Two processes with different PYTHONHASHSEED give one trace, and so does this one."""
    here = run_one(7, STEPS, CAP_ON.name).digest
    assert _digest_in_another_process("1") == here
    assert _digest_in_another_process("4242") == here
    assert run_one(8, STEPS, CAP_ON.name).digest != here


@EVERY_MODE
def test_a_replay_does_what_the_seed_did(mode: str) -> None:
    """The actions of a seed, without its random numbers, give the same trace; a signal is an action, too."""
    outcome = run_one(11, STEPS, mode)
    assert any(isinstance(action, Deliver) for action in outcome.actions) is MODES[mode].webhooks
    assert replay(11, outcome.scenario, outcome.actions, MODES[mode]).digest == outcome.digest


def test_webhooks_change_nothing_but_what_is_told() -> None:
    """A seed takes the same payments with webhooks and without, and bears the same faults."""
    for seed in range(20):
        silent, heard = (run_one(seed, 1, mode.name).scenario for mode in (CAP_OFF, CAP_OFF_TOLD))
        assert attrs.evolve(heard, rates=silent.rates) == silent
        assert heard.rates.brought > silent.rates.brought == 0


def test_reconciliation_changes_nothing_but_what_is_looked_at() -> None:
    """A seed takes the same payments with reconciliation and without, and bears the same faults."""
    for seed in range(20):
        for plain, mode in zip((CAP_ON, CAP_OFF, CAP_ON_TOLD, CAP_OFF_TOLD), RECONCILED, strict=True):
            without, looked = (run_one(seed, 1, name).scenario for name in (plain.name, mode.name))
            assert attrs.evolve(looked, rates=without.rates) == without
            assert looked.rates.reconcile > without.rates.reconcile == 0


def test_two_accounts_may_hold_a_charge_of_one_id() -> None:
    """Some seeds have such a pair: a signal that is taken for the other account's would be told from it."""
    pairs = [seed for seed in range(100) if _same_ids(run_one(seed, 1, CAP_OFF_TOLD.name).scenario.payments)]
    assert len(pairs) > 5


def _same_ids(payments: tuple[Taken, ...]) -> bool:
    return len({payment.account for payment in payments if payment.charge is not None}) > 1


def test_what_a_signal_set_off_is_made_short() -> None:
    """A service that takes a signal for a command is found, and the signal is among what remains of the run."""
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == "a signal goes on with the payment"]
    with mutant.apply():
        outcomes = (run_one(seed, STEPS, mutant.mode) for seed in range(mutant.seeds))
        outcome = next(o for o in outcomes if o.violation and len(o.actions) > 100)
        short = shorten(outcome, MODES[mutant.mode], most_runs=400)
    assert short.violation is not None
    assert any(isinstance(action, Deliver) for action in short.actions)
    assert len(short.actions) < len(outcome.actions) / 4
    assert "deliver op=" in told(short)


def test_the_command_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report holds what was run, the exit code says whether it was as promised."""
    report = tmp_path / "out.json"
    assert main(["--seeds", "0:4", "--steps", "100", "--report", str(report)]) == 0
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert [mode["mode"] for mode in figures["modes"]] == [mode.name for mode in SOUND]
    for mode in figures["modes"]:
        assert mode["seeds"] == 4
        assert (mode["doubled"], mode["lost"], mode["stuck"], mode["broken"]) == (0, 0, 0, {})
    assert main(["--seeds", "0:1", "--mode", "broken-list_lag"]) == 1
    assert "4 seeds" in capsys.readouterr().err


def test_no_seed_of_jumping_clocks_breaks_an_invariant() -> None:
    """Clocks fall back again and again beside disputes and reconciliations: nothing is left out, nothing older
    goes over what is newer, nothing doubles."""
    (mode,) = (mode.name for mode in JUMPING)
    tally = run_batch(mode, Journal.MEMORY.value, 0, 300, STEPS)
    assert (tally.failing, dict(tally.broken)) == ([], {})
    assert tally.refunds > 150
    assert min(tally.counts["clock jump"], tally.counts["dispute"], tally.counts["reconciled: to its end"]) > 300
    sqlite = run_batch(mode, Journal.SQLITE.value, 0, 10, STEPS)
    assert (sqlite.failing, dict(sqlite.broken)) == ([], {})


def test_a_failing_seed_says_how_to_repeat_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The replay's command, the broken invariant and the shortened trace go to stderr; the exit code is 1."""
    seed = next(s for s in range(50) if run_one(s, STEPS, "broken-list_lag").violation)
    assert main(["--seed-trace", str(seed), "--mode", "broken-list_lag"]) == 1
    told_on = capsys.readouterr().err
    assert f"--seed-trace {seed} --steps 300 --mode broken-list_lag" in told_on
    assert "shortened" in told_on
    assert "resume op=" in told_on


@pytest.mark.parametrize("seeds", ["5", "5:5", "9:1", "a:b", "-1:4"])
def test_odd_seeds_are_refused(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A range that holds no seed is a usage error."""
    with pytest.raises(SystemExit) as stopped:
        main([f"--seeds={seeds}"])
    assert stopped.value.code == 2
    assert "FIRST:END" in capsys.readouterr().err
