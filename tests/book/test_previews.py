"""What a link leads to, cut out of its page."""

import json
from pathlib import Path

from bs4 import BeautifulSoup

from afp_utils.book import previews

PAGE = """<dl><dt id="term-a-b">a <b>b</b><a class="headerlink" href="#term-a-b">#</a></dt><dd><p>See <a href="x">it</a>.</p></dd></dl>
<div class="math notranslate" id="equation-eq-a"><span class="eqno">(1.1)<a class="headerlink" href="#">#</a></span>\\[x\\]</div>
<figure id="fig-a"><a href="../_images/a.png"><img alt="A" src="../_images/a.png"/></a><figcaption id="c">Two</figcaption></figure>
<blockquote id="thm-a"><p>True.</p></blockquote>
<div class="citation" id="key" role="doc-biblioentry"><span class="label"><span class="fn-bracket">[</span>A (1)</span><p>T.</p></div>
<section id="other"><p>Words</p></section>
<a class="reference internal" href="#thm-a">1</a><a class="reference internal" href="#other">2</a>"""
EXPECTED = {
    "term-a-b": "<strong>a <b>b</b></strong><p>See it.</p>",
    "equation-eq-a": '<div class="math notranslate"><span class="eqno">(1.1)</span>\\[x\\]</div>',
    "fig-a": '<figure><img alt="A" data-src="_images/a.png"/><figcaption>Two</figcaption></figure>',
    "thm-a": "<blockquote><p>True.</p></blockquote>",
    "key": '<div class="citation"><span class="label">A (1)</span><p>T.</p></div>',
    "other": "",
}


def test_each_kind_is_shown_without_links_and_names() -> None:
    soup = BeautifulSoup(PAGE, "html.parser")
    assert {label: previews.preview(soup.find(id=label), "chapters/a") for label in EXPECTED} == EXPECTED
    assert previews.preview(None, "chapters/a") == ""


def test_a_site_gets_the_previews_that_its_pages_link_to(tmp_path: Path) -> None:
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "a.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "b.html").write_text('<a class="reference internal" href="chapters/a.html#key">A</a>', encoding="utf-8")
    previews.write(tmp_path)
    (script,) = (tmp_path / "_static" / "previews").rglob("*.js")
    assert script == tmp_path / "_static" / "previews" / "chapters" / "a.js"
    name, shown = json.loads(
        f"[{script.read_text(encoding='utf-8').strip().removeprefix('afpPreviews(').removesuffix(')')}]"
    )
    assert (name, shown) == ("chapters/a", {label: EXPECTED[label] for label in ("key", "thm-a")})
