"""The registry, the check, the stored record and the ledger."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afp_utils.book import claims
from afp_utils.book.claims import NEEDS, NUMBER, ClaimError, Expectation, Record
from tests.helpers import ENTRY
from tests.helpers import toy_claim as claim


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"near": 1.0, "within": 0.1}, [1.0, 1.09, 0.91], [1.11, 0.89, np.nan, np.inf, "no", [1.0, 1.0]]),
        ({"near": [1.0, 2.0], "within": 0.1}, [[1.05, 1.95]], [[1.0, 2.2], 1.0, [1.0]]),
        ({"near": [1.0, 2.0], "within": [0.1, 0.5]}, [[1.05, 1.6]], [[1.2, 2.0]]),
        ({"between": [1, 2]}, [1, 2, 1.5, [1.1, 1.9]], [0.99, 2.01, [1.5, 3.0], np.nan, []]),
        ({"between": [0.5, 1]}, [1.0], [1.0000004, 0.4999999]),
        ({"below": 1e-6}, [0.0, 1e-7, -1.0, [0.0, 1e-9]], [1e-6, 1.0, np.nan, [0.0, 1.0], [-np.inf, 0.0], []]),
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
    ("rule", "value", "distance"),
    [
        ({"near": 1.0, "within": 0.1}, 1.3, 3.0),
        ({"near": [1.0, 2.0], "within": [0.1, 0.5]}, [1.0, 4.0], 4.0),
        ({"near": [1.0, 2.0], "within": 0.1}, [1.3, 2.1], 3.0),
        ({"between": [1, 2]}, 3.0, 3.0),
        ({"below": 1e-3}, 0.5, 500.0),
        ({"below": [1e-2, 1e-4]}, [1e-3, 1e-3], 10.0),
        ({"below": 0.0}, 1.0, None),
        ({"equals": 3}, 5, None),
        ({"near": [0.0, 1.0], "within": [0.0, 0.1]}, [0.0, 1.2], 2.0),
    ],
)
def test_distances_are_in_tolerances(rule, value, distance):
    assert Expectation(**rule).distance(value) == (None if distance is None else pytest.approx(distance))


SAYS = Expectation(near=2.0, within=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"known": "rumoured"}, "known must be one of .*, got 'rumoured'"),
        ({"kind": "hope"}, "kind must be one of .*, got 'hope'"),
        ({"holds": "maybe"}, "holds must be one of .*, got 'maybe'"),
        ({"holds": "no", "rival": "", "says": SAYS}, "reason must be given just where"),
        ({"reason": "why not"}, "reason must be given just where"),
        ({"holds": "no", "reason": "x"}, "says must give what the sentence itself expects"),
        ({"says": SAYS}, "says must stand where holds is not 'yes', in place of a rival"),
        ({"holds": "no", "reason": "x", "says": SAYS}, "says must stand .* in place of a rival"),
        ({"rival": ""}, "rival must be given for kind 'theory against simulation'"),
        ({"rival": "", "kind": "measurement"}, "rival must be given for kind 'measurement'"),
        (
            {"source": "smith2020nothing, Table 1"},
            r"source must name works of references.bib, got \['smith2020nothing'\]",
        ),
    ],
)
def test_a_claim_states_what_is_known_what_it_rules_out_and_why_it_does_not_hold(change, message):
    with pytest.raises(ClaimError, match=message):
        claim(**change)


@pytest.mark.parametrize("value", [1.2, np.nan, np.inf, "text", [1.0, 1.0]])
def test_a_falsified_value_is_shown_and_raises_with_id_and_value(toy, value):
    shown, _ = toy
    with pytest.raises(ClaimError, match=r"^claim toy-slope fails\nmeasured .*\nexpected 1 ± 0.1$"):
        claims.check("toy-slope", value, rival=2.0)
    assert shown[0].json()["holds"] == "failed"


@pytest.mark.parametrize(
    ("rival", "message"),
    [
        (1.05, r"its rival would pass: 1.05, expected 1 ± 0.1 \(The slope is <two>.\)"),
        (None, "must have a rival's value"),
        (np.nan, "rival must be finite and of the value's shape and type"),
        ([2.0, 2.0], "rival must be finite and of the value's shape and type"),
        ("two", "rival must be finite and of the value's shape and type"),
        (True, "rival must be finite and of the value's shape and type"),
    ],
)
def test_a_rival_that_rules_nothing_out_is_refused(toy, rival, message):
    with pytest.raises(ClaimError, match=f"claim toy-slope: {message}"):
        claims.check("toy-slope", 1.0, rival=rival)


def test_a_claim_that_names_no_rival_takes_no_value_of_one(toy):
    with pytest.raises(ClaimError, match="claim toy-sign: must not have a rival's value, got no"):
        claims.check("toy-sign", True, rival=False)


def test_rounding_does_not_decide(toy):
    with pytest.raises(ClaimError, match="claim toy-slope fails"):
        claims.check("toy-slope", 1.1 + 1e-9)


def test_an_unregistered_claim_raises(toy):
    with pytest.raises(ClaimError, match="claim must be one of the registry, got 'toy-slop'"):
        claims.check("toy-slop", 1.0)


def test_a_value_of_another_kind_raises(toy):
    with pytest.raises(ClaimError, match="a claim's value must be a number, .* got <class 'dict'>"):
        claims.check("toy-slope", {})


def test_a_sentence_that_does_not_hold_is_its_own_rival():
    refuted = claim(holds="no", reason="the source drops the tail", says=SAYS, rival="")
    record = Record(refuted, 1.0)
    assert record.holds == "no"
    assert record.fault == ""
    assert record.distance == pytest.approx(10.0)
    assert "the source drops the tail" in record.markdown()
    assert "the sentence says <code>2 ± 0.1</code>, 10 tolerances away" in record.markdown()
    assert "does not hold - measured 1, expected 1 ± 0.1 (the sentence says 2 ± 0.1)" in str(record)
    assert Record(refuted, 2.0).holds == "failed"


def test_a_failure_shows_the_digits_in_which_it_fails(toy):
    with pytest.raises(ClaimError, match=r"measured 1.1000001\n"):
        claims.check("toy-slope", 1.1000001, rival=2.0)
    with pytest.raises(ClaimError, match=r"\.\.\. \(shape \(2000,\)\)\n"):
        claims.check("toy-slope", [1.0] * 2000, rival=2.0)


def test_a_value_that_the_refuted_sentence_allows_fails():
    refuted = claim(holds="no", reason="x", says=Expectation(near=1.1, within=0.05), rival="")
    assert Record(refuted, 1.0).holds == "no"
    assert Record(refuted, 1.08).holds == "failed"


@given(st.recursive(st.integers(-99, 99) | st.booleans() | st.floats(), lambda item: st.lists(item, max_size=3)))
def test_values_survive_json(value):
    assert json.loads(json.dumps(claims.plain(value))) == claims.plain(value)


def test_values_are_plain_numbers_in_full_precision():
    assert claims.plain(np.array([1 / 3, 2.0])) == [1 / 3, 2.0]
    assert claims.plain(np.bool_(True)) is True
    assert claims.plain(np.int64(3)) == 3
    assert claims.plain(np.nan) == "nan"


def test_what_needs_a_package_that_is_missing_says_so(toy):
    shown, _ = toy
    assert claims.needs("numpy", "toy-slope")
    assert shown == []
    assert not claims.needs("no_such_package", "toy-slope")
    assert not claims.needs("no_such_package")
    texts = [
        "claim toy-slope is not checked here: it needs no_such_package, which is not installed",
        "part of this cell is left out: it needs no_such_package, which is not installed",
    ]
    assert shown == [
        {NEEDS: {"id": id, "said": text}, "text/plain": text} for id, text in zip(("toy-slope", ""), texts)
    ]
    with pytest.raises(ClaimError, match="claim must be one of the registry, got 'toy-slop'"):
        claims.needs("numpy", "toy-slop")


def test_numbers_for_the_prose(toy):
    shown, _ = toy
    claims.numbers(slope="0.33", runs="5")
    assert shown == [
        {
            NUMBER: {"slope": "0.33", "runs": "5"},
            "text/html": "<!-- quoted in the text -->",
            "text/plain": "slope = 0.33\nruns = 5",
        }
    ]


def test_contents_lists_the_claims_of_a_chapter_the_headlines_first(monkeypatch):
    known = {name: claim(id=name, statement=f"The {name} of $x^2$.") for name in ("slope", "level", "sign")}
    known["level"] = claim(id="level", statement="a <b> *c*", headline=True)
    monkeypatch.setattr(claims, "registry", lambda: known)
    badge = '<span class="afp-verdict afp-yes">holds</span>'
    assert claims.contents("toy").splitlines() == [
        "**Main results**",
        "",
        f'- {badge} a &lt;b&gt; \\*c\\* <a href="#claim-level">See&nbsp;it.</a>',
        "",
        "**The others**",
        "",
        f'- {badge} The slope of $x^2$. <a href="#claim-slope">See&nbsp;it.</a>',
        f'- {badge} The sign of $x^2$. <a href="#claim-sign">See&nbsp;it.</a>',
    ]
    with pytest.raises(ClaimError, match="chapter must have a file afp_utils/.*/claims-nope.toml, got 'nope'"):
        claims.contents("nope")


def test_a_claim_is_one_line_that_opens():
    shown = Record(claim(statement="As $d^{-1/2}$, a_b.", because="order 2"), 1.0, 2.0).markdown()
    head, summary, close, *folded, end = shown.split("\n\n")
    assert (head, close, end) == (
        '<details class="afp-claim" id="claim-toy-slope"><summary>',
        "</summary>",
        "</details>",
    )
    assert summary.endswith("As $d^{-1/2}$, a\\_b. Measured <code>1</code>.")
    assert folded[0] == "expected <code>1 ± 0.1</code> (order 2)"


def test_formulas_are_typeset_in_tables():
    assert claims.typeset("a < b, $x<y$") == (
        'a &lt; b, <span class="math notranslate nohighlight">\\(x&lt;y\\)</span>'
    )


def test_a_source_is_shown_by_its_authors():
    named = claim(source="li2024improving, Theorem 3.1; after chizat2019lazy")
    assert named.attribution == "Li & Lin (2024), Theorem 3.1; after Chizat et al. (2019)"
    assert "Li &amp; Lin (2024), Theorem 3.1" in Record(named, 1.0).markdown()


def test_sources_are_named_by_authors_and_year():
    named = claims.sources()
    assert named["li2024improving"] == "Li & Lin (2024)"
    assert (named["li2025supporting"], named["li2025diagonal"]) == ("Li & Lin (2025b)", "Li & Lin (2025a)")  # by title
    assert named["reiss2008asymptotic"] == "Reiß (2008)"
    assert named["petrini2022learning"] == "Petrini et al. (2022)"
    text = (Path(claims.__file__).parent / "references.bib").read_text(encoding="utf-8")
    assert list(named) == re.findall(r"^@\w+\{(\w+),", text, re.MULTILINE)


def test_the_registry_is_well_formed():
    registered = claims.registry()
    assert all(name == entry.id and entry.because and entry.statement for name, entry in registered.items())
    unnamed = [name for name, entry in registered.items() if "?" in (entry.rival, str(entry.says))]
    assert unnamed == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("near = 0.25", "near =", "claims-small.toml must be TOML"),
        (
            "near = 0.25",
            'near = "4"',
            "claims-small.toml: claim small: near must be a number or a list of them, got '4'",
        ),
        ("within = 0.01", "", "claims-small.toml: claim small: an expectation must be near + within"),
        (
            "within = 0.01",
            "within = [0.1, 0.2]",
            "claims-small.toml: claim small: within must be one tolerance or one for each",
        ),
        (
            "within = 0.01",
            "within = -1",
            "claims-small.toml: claim small: within must be one tolerance or one for each",
        ),
        ("because", "reasons", "claims-small.toml: claim small: reasons must be one of"),
        ('because = "rounding"', "", "claims-small.toml: claim small: because must be given"),
        ('"rounding"', "3", "claims-small.toml: claim small: because must be text, got 3"),
        (
            '"rounding"',
            '"x"\nheadline = false',
            "claims-small.toml: claim small: headline must be true or left out, got False",
        ),
        ('"identity"', '"hope"', "claims-small.toml: claim small: kind must be one of"),
        ('"derived"', '"derived"\nsays = 3', "claims-small.toml: claim small: says must be a table of"),
        ("[small]", "small = 1\n[other]", "claims-small.toml: claim small: must be a table, got 1"),
    ],
)
def test_a_fault_of_the_registry_names_file_claim_and_key(monkeypatch, tmp_path, old, new, said):
    (tmp_path / "room").mkdir()
    file = tmp_path / "room" / "claims-small.toml"
    file.write_text(ENTRY, encoding="utf-8")
    monkeypatch.setattr(claims, "files", lambda _: tmp_path)
    monkeypatch.setattr(claims, "sources", dict)
    assert claims.registry.__wrapped__()["small"].chapter == "small"
    assert old in ENTRY
    file.write_text(ENTRY.replace(old, new), encoding="utf-8")
    with pytest.raises(ClaimError) as refused:
        claims.registry.__wrapped__()
    assert str(refused.value).startswith(said)


def test_a_notebook_shows_the_message_of_a_failed_claim_and_no_traceback(toy):
    with pytest.raises(ClaimError) as failed:
        claims.check("toy-slope", 1.2, rival=2.0)
    assert failed.value._render_traceback_() == ["claim toy-slope fails", "measured 1.2", "expected 1 ± 0.1"]
