"""The registry, the check, the stored record and the ledger."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afp_utils import claims
from afp_utils.claims import CLAIM, NUMBER, Claim, ClaimError, Expectation, Record


def claim(**changes):
    entry = {
        "id": "toy-slope",
        "chapter": "toy",
        "statement": "The slope is <one>.",
        "source": "this book",
        "known": "derived",
        "expect": Expectation(near=1.0, within=0.1),
        "because": "exact",
    }
    return Claim(**entry | changes)


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A registry of two claims, a place for chapters, and the outputs that cells would store."""
    known = {"toy-slope": claim(), "toy-sign": claim(id="toy-sign", expect=Expectation(equals=True))}
    monkeypatch.setattr(claims, "registry", lambda: known)
    shown = []
    monkeypatch.setattr(claims, "display", lambda record, **_: shown.append(record))

    def store(name="toy"):
        outputs = [{"output_type": "display_data", "data": {CLAIM: record.json()}} for record in shown]
        cells = [{"cell_type": "markdown", "source": "x"}, {"cell_type": "code", "outputs": outputs}]
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))
        return tmp_path

    return shown, store


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"near": 1.0, "within": 0.1}, [1.0, 1.09, 0.91], [1.11, 0.89, np.nan, np.inf, "no", [1.0, 1.0]]),
        ({"near": [1.0, 2.0], "within": 0.1}, [[1.05, 1.95]], [[1.0, 2.2], 1.0, [1.0]]),
        ({"near": [1.0, 2.0], "within": [0.1, 0.5]}, [[1.05, 1.6]], [[1.2, 2.0]]),
        ({"between": [1, 2]}, [1, 2, 1.5, [1.1, 1.9]], [0.99, 2.01, [1.5, 3.0], np.nan, []]),
        ({"between": [0.5, 1]}, [1.0], [1.0000004, 0.4999999]),
        ({"below": 1e-6}, [0.0, 1e-7, -1.0, [0.0, 1e-9]], [1e-6, 1.0, np.nan, [0.0, 1.0]]),
        ({"below": [1e-2, 1e-4]}, [[1e-3, 1e-5]], [[1e-3, 1e-3], 1e-5, [1e-5], [1e-5, 1e-5, 1e-5]]),
        ({"equals": True}, [True], [False, 1, 1.0, "yes"]),
        ({"equals": 3}, [3], [2, True, [3]]),
        ({"equals": [0, 1]}, [[0, 1]], [[1, 0], [0], [0, 1.0], [False, True]]),
        ({"equals": [True, True]}, [[True, True]], [[1, 1.0], [True], True]),
        ({"equals": "rich"}, ["rich"], ["lazy"]),
    ],
)
def test_expectations(rule, good, bad):
    expectation = Expectation(**rule)
    assert all(expectation.holds(value) for value in good)
    assert not any(expectation.holds(value) for value in bad)


@pytest.mark.parametrize("rule", [{}, {"near": 1.0}, {"within": 1.0}, {"near": 1.0, "within": 1.0, "below": 2.0}])
def test_an_expectation_is_exactly_one_rule(rule):
    with pytest.raises(ClaimError, match="an expectation must be near \\+ within, between, below or equals, got"):
        Expectation(**rule)


@pytest.mark.parametrize("bounds", [[2, 1], [1, 1], [1], [1, 2, 3], [[0, 1], [2, 3]], [1, np.nan]])
def test_bounds_are_two_increasing_numbers(bounds):
    with pytest.raises(ClaimError, match="between must be two increasing numbers, got"):
        Expectation(between=bounds)


def test_lists_within_lists_are_shown_in_brackets():
    assert claims.shown([[1.0, 0.12345], [3, True]]) == "(1, 0.123), (3, yes)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"known": "rumoured"}, "claim toy-slope: known must be one of .*, got 'rumoured'"),
        ({"finding": "maybe"}, "claim toy-slope: finding must be one of .*, got 'maybe'"),
        ({"finding": "not reproduced"}, "claim toy-slope: reason must be given just where"),
        ({"reason": "why not"}, "claim toy-slope: reason must be given just where"),
        ({"source": "smith2020nothing, Table 1"}, r"source must name works of SOURCES, got \['smith2020nothing'\]"),
    ],
)
def test_a_claim_states_what_is_known_and_why_it_changed(change, message):
    with pytest.raises(ClaimError, match=message):
        claim(**change)


def test_a_true_value_is_shown_and_stored(toy):
    shown, _ = toy
    claims.check("toy-slope", np.float64(1.04))
    bundle = shown[0]._repr_mimebundle_()
    assert bundle[CLAIM] == {"id": "toy-slope", "value": 1.04, "expectation": "1 ± 0.1", "verdict": "verified"}
    assert "&lt;one&gt;" in bundle["text/html"]
    assert 'id="claim-toy-slope"' in bundle["text/html"]
    assert bundle["text/plain"].startswith("✓ toy-slope: verified - measured 1.04, expected 1 ± 0.1.")


@pytest.mark.parametrize("value", [1.2, np.nan, np.inf, "text", [1.0, 1.0]])
def test_a_falsified_value_is_shown_and_raises_with_id_and_value(toy, value):
    shown, _ = toy
    with pytest.raises(ClaimError, match="toy-slope: failed - measured .*, expected 1 ± 0.1"):
        claims.check("toy-slope", value)
    assert shown[0].json()["verdict"] == "failed"


def test_rounding_does_not_decide(toy):
    with pytest.raises(ClaimError, match="toy-slope: failed"):
        claims.check("toy-slope", 1.1 + 1e-9)


def test_an_unregistered_claim_raises(toy):
    with pytest.raises(ClaimError, match="claim must be one of the registry, got 'toy-slop'"):
        claims.check("toy-slop", 1.0)


def test_a_value_of_another_kind_raises(toy):
    with pytest.raises(ClaimError, match="a claim's value must be a number, .* got <class 'dict'>"):
        claims.check("toy-slope", {})


def test_a_finding_keeps_its_verdict_when_the_measurement_holds():
    finding = claim(finding="not reproduced", reason="the source drops the tail")
    assert Record(finding, 1.0).verdict == "not reproduced"
    assert "the source drops the tail" in Record(finding, 1.0).html()
    assert Record(finding, 2.0).verdict == "failed"


@given(st.recursive(st.integers(-99, 99) | st.booleans() | st.floats(), lambda item: st.lists(item, max_size=3)))
def test_values_survive_json(value):
    assert json.loads(json.dumps(claims.plain(value))) == claims.plain(value)


def test_values_are_plain_numbers_in_full_precision():
    assert claims.plain(np.array([1 / 3, 2.0])) == [1 / 3, 2.0]
    assert claims.plain(np.bool_(True)) is True
    assert claims.plain(np.int64(3)) == 3
    assert claims.plain(np.nan) == "nan"


def test_numbers_for_the_prose(toy):
    shown, _ = toy
    claims.numbers(slope="0.33", runs="5")
    assert shown == [{NUMBER: {"slope": "0.33", "runs": "5"}, "text/plain": "slope = 0.33\nruns = 5"}]


def test_the_ledger_shows_every_claim_with_value_and_verdict_or_as_unchecked(toy):
    _, store = toy
    claims.check("toy-slope", 1.04)
    folder = store()
    table = claims.ledger(folder)
    part, first, second = table.rows
    assert part == ("Toy",)
    assert 'class="afp-part" colspan="5">Toy<' in table._repr_html_()
    assert "1.04" in first[2]
    assert "verified" in first[4]
    assert 'href="toy.ipynb#claim-toy-slope"' in first[0]
    assert "unchecked" in second[4]
    assert claims.verdicts(folder)["verified"] == claims.verdicts(folder)["unchecked"] == 1
    assert claims.faults(folder) == ["claim toy-sign is registered for toy but never checked"]


def test_no_faults_when_all_is_well(toy):
    _, store = toy
    claims.check("toy-slope", 1.04)
    claims.check("toy-sign", True)
    assert claims.faults(store()) == []


def test_faults_name_the_claim(toy):
    shown, store = toy
    claims.check("toy-slope", 1.04)
    claims.check("toy-sign", True)
    shown.append(Record(claim(), 1.5))
    shown.append(Record(claim(id="toy-gone"), 1.0))
    assert claims.faults(store()) == [
        "claim toy-slope is checked twice: in toy and toy",
        "claim toy-slope fails: stored 1.5, expected 1 ± 0.1",
        "claim toy-gone of toy.ipynb is not registered",
    ]


def test_faults_find_an_altered_record(toy):
    shown, store = toy
    claims.check("toy-sign", True)
    shown.append(Record(claim(expect=Expectation(near=1.0, within=0.5)), 1.0))
    (fault,) = claims.faults(store())
    assert fault.startswith("claim toy-slope is stale: stored")


def test_faults_find_a_claim_in_the_wrong_chapter(toy):
    _, store = toy
    claims.check("toy-slope", 1.04)
    claims.check("toy-sign", True)
    assert claims.faults(store("other")) == [
        f"claim {name} is registered for toy but checked in other" for name in ("toy-slope", "toy-sign")
    ]


def test_contents_lists_the_claims_of_a_chapter(toy):
    table = claims.contents("toy")
    assert [row[0] for row in table.rows] == ["C1", "C2"]
    assert repr(table).startswith("C1  The slope is <one>.")
    with pytest.raises(ClaimError, match="chapter must have a file in the registry, got 'nope'"):
        claims.contents("nope")


def test_a_source_is_shown_by_its_authors():
    named = claim(source="li2024improving, Theorem 3.1; after chizat2019lazy")
    assert named.attribution == "Li & Lin (2024), Theorem 3.1; after Chizat et al. (2019)"
    assert "Li &amp; Lin (2024), Theorem 3.1" in Record(named, 1.0).html()


def test_sources_are_those_of_the_bibliography():
    text = (Path(__file__).parents[1] / "chapters" / "references.bib").read_text(encoding="utf-8")
    for key, name in claims.SOURCES.items():
        entry = text.partition("{" + key + ",")[2].partition("\n@")[0]
        first = re.search(r"author = \{(\w+)", entry)
        year = re.search(r"year = \{(\d+)\}", entry)
        assert first and year, key
        assert name.startswith(first[1]), key
        assert year[1] in name, key


def test_the_registry_is_well_formed():
    registered = claims.registry()
    assert all(name == entry.id and entry.because and entry.statement for name, entry in registered.items())
