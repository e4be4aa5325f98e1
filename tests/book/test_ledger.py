"""The ledger: what the executed chapters hold, what it rests on, what the papers assert, and how it is shown."""

import json
import re
from pathlib import Path

import pytest

from afp_utils.book import claims, ledger
from afp_utils.book.claims import ClaimError, Expectation, Record
from afp_utils.book.sphinx import links
from tests.helpers import toy_claim as claim

SAYS = Expectation(near=2.0, within=0.1)


def test_every_claim_is_shown_with_its_value_or_as_unchecked(toy):
    _, store = toy
    claims.check("toy-slope", 1.04, rival=2.0)
    folder = store()
    book = ledger.read(folder)
    html, text = ledger.ledger(book).html, repr(ledger.ledger(book))
    _, part, first, second = re.findall(r"<tr.*?</tr>", html)
    assert 'colspan="3">Toy<' in part
    assert 'href="toy.ipynb#claim-toy-slope"' in first
    assert "<code>1.04</code>" in first
    assert "rival <code>2</code>, 10 tolerances away: The slope is &lt;two&gt;." in first
    assert ">holds</span>" in first
    assert 'data-verdict="unchecked"' in second
    assert re.search(r"holds +toy-slope: 1.04 \(expected 1 ± 0.1\)", text)
    assert book.counts == {"yes": 1, "in part": 0, "no": 0, "failed": 0, "unchecked": 1}
    assert ledger.faults(folder) == ["claim toy-sign is registered for toy but never checked"]


def test_a_link_leads_to_the_cell_in_jupyterlab_and_to_the_claim_on_a_page(toy):
    _, store = toy
    claims.check("toy-slope", 1.04, rival=2.0)
    file = store() / "toy.ipynb"
    notebook = json.loads(file.read_text(encoding="utf-8"))
    notebook["cells"][1]["id"] = "toy-001"
    file.write_text(json.dumps(notebook), encoding="utf-8")
    shown = ledger.ledger(ledger.read(file.parent)).html
    assert '<a href="toy.ipynb#cell-id=toy-001" data-claim="claim-toy-slope">' in shown
    page = {"body": shown}
    links(None, "ledger", "page.html", page, None)
    assert '<a href="toy.html#claim-toy-slope">' in page["body"]


def test_no_faults_when_all_is_well(toy):
    _, store = toy
    claims.check("toy-slope", 1.04, rival=2.0)
    claims.check("toy-sign", True)
    assert ledger.faults(store()) == []


@pytest.mark.parametrize("ask", [ledger.read, ledger.check, ledger.faults])
@pytest.mark.parametrize("cleared", [False, True])
def test_a_folder_without_executed_chapters_is_named_in_one_sentence(toy, tmp_path, ask, cleared):
    folder = toy[1]() if cleared else tmp_path / "nowhere"
    with pytest.raises(ClaimError) as caught:
        ask(folder)
    (sentence,) = caught.value._render_traceback_()
    assert sentence.startswith("folder must hold the book's executed chapters")
    assert f"{folder} has none: open it in the folder chapters" in sentence


def test_faults_name_the_claim(toy):
    shown, store = toy
    claims.check("toy-slope", 1.04, rival=2.0)
    claims.check("toy-sign", True)
    shown.append(Record(claim(), 1.5, 2.0))
    shown.append(Record(claim(id="toy-gone"), 1.0, 2.0))
    assert ledger.faults(store()) == [
        "claim toy-slope is checked twice: in toy and toy",
        "claim toy-slope fails: stored 1.5, expected 1 ± 0.1",
        "claim toy-gone of toy.ipynb is not registered",
    ]


def test_faults_find_a_rival_that_would_pass(toy):
    shown, store = toy
    claims.check("toy-sign", True)
    shown.append(Record(claim(), 1.0, 1.05))
    (fault,) = ledger.faults(store())
    assert fault.startswith("claim toy-slope: its rival would pass")


def test_faults_find_an_altered_record(toy):
    shown, store = toy
    claims.check("toy-sign", True)
    shown.append(Record(claim(expect=Expectation(near=1.0, within=0.5)), 1.0, 2.0))
    (fault,) = ledger.faults(store())
    assert fault.startswith("claim toy-slope is stale: stored")


def test_faults_find_a_claim_in_the_wrong_chapter(toy):
    _, store = toy
    claims.check("toy-slope", 1.04, rival=2.0)
    claims.check("toy-sign", True)
    assert ledger.faults(store("other")) == [
        f"claim {name} is registered for toy but checked in other" for name in ("toy-slope", "toy-sign")
    ]


def test_what_was_left_out_is_not_counted_and_is_a_fault(toy):
    _, store = toy
    claims.check("toy-sign", True)
    folder = store()
    text = "claim toy-slope is not checked here: it needs torch, which is not installed"
    output = {"output_type": "display_data", "data": {claims.NEEDS: {"id": "toy-slope", "said": text}}}
    chapter = json.loads((folder / "toy.ipynb").read_text(encoding="utf-8"))
    chapter["cells"].append({"cell_type": "code", "outputs": [output]})
    (folder / "toy.ipynb").write_text(json.dumps(chapter), encoding="utf-8")
    assert ledger.read(folder).counts == {"yes": 1, "in part": 0, "no": 0, "failed": 0, "unchecked": 1}
    assert ledger.faults(folder) == [f"toy.ipynb: {text}"]


# ---- what a claim rests on ----


@pytest.fixture
def family(monkeypatch, toy):
    """Two identities of which one tries less, an observation that needs both functions, and one that needs none."""
    known = {
        "one": claim(id="one", kind="identity", rival=""),
        "both": claim(id="both", kind="theorem check", rival=""),
        "again": claim(id="again", kind="identity", rival=""),
        "seen": claim(id="seen", kind="measurement"),
        "free": claim(id="free", kind="measurement"),
    }
    monkeypatch.setattr(claims, "registry", lambda: known)
    shown, store = toy
    calls = {"one": ["m.f"], "both": ["m.f", "m.g"], "again": ["m.f"], "seen": ["m.f", "m.g", "m.h"]}

    def read(**values):
        for entry in known.values():
            shown.append(Record(entry, values.get(entry.id, 1.0), 2.0 if entry.rival else None))
        return ledger.read(store(calls=calls))

    return read


def test_a_claim_rests_on_the_proofs_that_try_only_what_it_needs(family):
    book = family()
    assert book.supports == {
        "one": (),
        "both": ("one", "again"),
        "again": ("one",),
        "seen": ("one", "both", "again"),
        "free": (),
    }
    assert book.carried("m.g") == ["both", "seen"]
    assert book.carried("m.nothing") == []


def test_a_claim_whose_support_fails_is_shown_as_such(family):
    book = family(both=1.5)
    assert book.holds("both") == "failed"
    assert book.undermined("seen") == ("both",)
    assert book.undermined("one") == book.undermined("free") == book.undermined("both") == ()
    html = ledger.ledger(book).html
    assert html.count("but rests on a failed one") == 1
    assert "seen: holds, but rests on a failed one." in ledger.chart(book).html


def test_the_map_has_a_dot_for_each_claim_with_what_it_rests_on(family):
    chart = ledger.chart(family())
    assert re.findall(r'id="dot-(\w+)".*?href="toy.ipynb#claim-\w+" data-rests="([\w ]*)"', chart.html) == [
        ("one", ""),
        ("both", "one again"),
        ("again", "one"),
        ("seen", "one both again"),
        ("free", ""),
    ]
    assert repr(chart) == f"{'Toy':28}●●●●●"


# ---- what the papers assert ----


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claims": ["nope"]}, r"must name claims of the registry .* got \['nope'\]"),
        ({"paper": "smith2020nothing"}, "must name claims of the registry and a work of references.bib"),
        ({"answer": "in part"}, "why must be given where the answer is not 'yes'"),
        ({"answer": "no", "why": "x"}, "answer must fit the verdicts"),
        ({"answer": "open", "why": "x"}, "answer must fit the verdicts"),
        ({"answer": "maybe"}, "answer must fit the verdicts"),
        ({"claims": []}, "answer must fit the verdicts"),
        ({"claims": ["toy-slope", "toy-no"]}, "answer must fit the verdicts"),
    ],
)
def test_an_answer_must_fit_the_verdicts(toy, monkeypatch, change, message):
    known = dict(claims.registry()) | {"toy-no": claim(id="toy-no", holds="no", says=SAYS, reason="x", rival="")}
    monkeypatch.setattr(claims, "registry", lambda: known)
    row = {"paper": "xu2025three", "text": "It is one.", "claims": ["toy-slope"], "answer": "yes"}
    tables = {"assertion": [row], "result": []}
    monkeypatch.setattr(ledger.tomllib, "loads", lambda _: tables)
    assert ledger.papers() == tables
    row.update(change)
    with pytest.raises(ClaimError, match=message):
        ledger.papers()


def test_answers_quote_the_ledger(toy, monkeypatch):
    _, store = toy
    claims.check("toy-slope", 1.04, rival=2.0)
    row = {
        "paper": "xu2025three",
        "label": "Theorem 1",
        "text": "It is <one>.",
        "claims": ["toy-slope"],
        "answer": "in part",
        "why": "it is {toy-slope}",
    }
    monkeypatch.setattr(ledger, "papers", lambda: {"assertion": [row], "result": [row]})
    for shown in (ledger.abstracts(ledger.read(store())), ledger.results(ledger.read(store()))):
        assert "it is 1.04" in shown.html
        assert "Xu &amp; Ziyin (2025)" in shown.html
        assert "<strong>Theorem 1.</strong> It is &lt;one&gt;." in shown.html
        assert 'href="toy.ipynb#claim-toy-slope"' in shown.html
        assert "holds in part" in repr(shown)


def test_every_answer_of_the_book_fits_and_every_number_is_known():
    tables = ledger.papers()
    quoted = {name for rows in tables.values() for row in rows for name in ledger.QUOTED.findall(row.get("why", ""))}
    assert quoted <= claims.registry().keys()
    # a number of three digits or with a point would be one that the ledger does not know
    bare = [row["why"] for row in tables["assertion"] if re.search(r"\d[.,]\d|\d{3}", row.get("why", ""))]
    assert bare == []


def test_every_claim_about_a_paper_is_named_under_it():
    """A claim whose source is one of the papers of the tables stands in at least one of their rows."""
    tables = ledger.papers()
    about_papers = {row["paper"] for rows in tables.values() for row in rows}
    named = {name for rows in tables.values() for row in rows for name in row["claims"]}
    about = {name for name, entry in claims.registry().items() if about_papers & set(claims.KEY.findall(entry.source))}
    assert sorted(about - named) == []
    five = ("li2025supporting", "xu2025three", "petrini2022learning", "jiang2024joint", "radhakrishnan2024mechanism")
    assert {row["paper"] for row in tables["assertion"]} >= set(five)
    assert Path(ledger.__file__).with_name("papers.toml").exists()
