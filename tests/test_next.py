"""The site by the newest Sphinx: what it is built from, and a comparison that names a page with another word."""

import runpy
from pathlib import Path

import pytest

from tools import next as newest

ROOT = Path(__file__).parents[1]
PAGE = """<body><nav>{nav}</nav><article class="bd-article"><p>One <b>word</b> and <a href="a.html#b">another</a>.</p>
<div class="math">\\[{blank}x = 1{blank}\\]</div><img src="x.png" alt="A line rises"></article></body>"""


@pytest.fixture
def sites(tmp_path: Path) -> list[Path]:
    for name, nav, blank in (("old", "Jupyter Book", " "), ("new", "Sphinx", "")):
        (tmp_path / name / "chapters").mkdir(parents=True)
        for page in ("one", "two"):
            (tmp_path / name / "chapters" / f"{page}.html").write_text(
                PAGE.format(nav=nav, blank=blank), encoding="utf-8"
            )
    return [tmp_path / "old", tmp_path / "new"]


def test_navigation_and_blanks_around_formulas_are_no_difference(sites: list[Path]) -> None:
    assert newest.differences(*sites) == []


@pytest.mark.parametrize(
    ("was", "now"),
    [("word", "world"), ("x = 1", "x = 2"), ("a.html#b", "a.html#c"), ("x.png", "y.png"), ("A line rises", "x.png")],
)
def test_a_page_with_one_change_is_named(sites: list[Path], was: str, now: str) -> None:
    page = sites[1] / "chapters" / "two.html"
    page.write_text(page.read_text(encoding="utf-8").replace(was, now), encoding="utf-8")
    (said,) = newest.differences(*sites)
    assert said.startswith("chapters/two.html: 1 differences, the first: ")
    assert was.split()[-1] in said
    assert now.split()[-1] in said


def test_a_page_without_an_article_is_compared_as_a_whole(sites: list[Path]) -> None:
    for site in sites:
        page = site / "chapters" / "two.html"
        page.write_text(page.read_text(encoding="utf-8").replace("bd-article", "renamed"), encoding="utf-8")
    assert len(newest.differences(*sites)) == 1


def test_a_missing_page_is_named(sites: list[Path]) -> None:
    (sites[1] / "chapters" / "two.html").unlink()
    assert newest.differences(*sites) == [f"chapters/two.html: only in {sites[0]}"]


def test_what_differs_ends_the_command_with_an_error(sites: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    page = sites[1] / "chapters" / "one.html"
    page.write_text(page.read_text(encoding="utf-8").replace("word", "world"), encoding="utf-8")
    monkeypatch.setattr(newest, "build", lambda folder: sites[1])
    with pytest.raises(SystemExit, match=r"chapters/one.html(.|\n)*next: 1 pages differ"):
        newest.main(*sites)


def test_the_configuration_is_that_of_the_book_without_jupyter_book(tmp_path: Path) -> None:
    packages = newest.configure(tmp_path / "next")
    assert {"myst-nb", "sphinx-book-theme", "sphinxcontrib-bibtex"} <= set(packages)
    assert "jupyter-book" not in packages
    settings = runpy.run_path(str(tmp_path / "next" / "conf.py"))
    assert settings["html_title"] == "How models learn features"
    assert "jupyter_book" not in str(settings["extensions"])
    assert all(Path(path).is_absolute() for key in ("bibtex_bibfiles", "html_static_path") for path in settings[key])
    assert not (ROOT / "conf.py").exists()


def test_a_failed_step_shows_what_was_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no such thing(.|\n)*next: python -c .* failed"):
        newest.run("-c", "raise SystemExit('no such thing')")
