"""What the pages of a built site load: MathJax and Vega of its own, and no more icons, colours and fonts than they show."""

import re
import shutil
from importlib.metadata import files
from io import BytesIO
from pathlib import Path

import vl_convert
from fontTools import subset
from PIL import Image

MATHJAX = ("startup.js", "core.js", "input/tex.js", "output/chtml.js", "output/chtml/fonts", "a11y/assistive-mml.js")
"""Its parts that _config.yml loads: input, output and what screen readers read; no menu."""
ICONS = "fontawesome.js"
ICON = re.compile(r'"?([\w-]+)"?:\[\d+,\d+,(\[[^\]]*\]),"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?')
IN_STYLE = re.compile(r"--pst-icon-[\w-]+:\s*[\"'](.)[\"']")
RULE = re.compile(r"(?:/\*.*?\*/|([^{}]+)\{((?:[^{}\"']|\"[^\"]*\"|'[^']*')*)\})", re.DOTALL)
IN_BRACKETS = re.compile(r":(?:not|is|where|has)\((?:[^()]|\([^()]*\))*\)|\[[^\]]*\]")
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
PACKED_FONT = re.compile(r"url\([^()]*/fa-[\w-]+\.woff2\) format\(\"woff2\"\),")


def finish(site: Path) -> None:
    """Put MathJax, and Vega for the living figures, into a built site, and make lighter what it loads."""
    (parts,) = {
        Path(str(file.locate())).parent for file in files("sphinx-mathjax-offline") or [] if file.name == "core.js"
    }
    for part in MATHJAX:
        source, target = parts / part, site / "_static" / "mathjax" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    # in a function: as it comes Vega names its parts like Sphinx's own scripts
    vega = vl_convert.javascript_bundle(vl_version="5.20")  # type: ignore[call-arg] # its stub asks for what has a default
    ours = Path(__file__).with_name("living.js").read_text(encoding="utf-8")
    (site / "_static" / "living.js").write_text(f"(() => {{{vega}}})();\n{ours}", encoding="utf-8")
    for unused in (site / "_static").rglob("*.map"):
        unused.unlink()
    for picture in (site / "_images").glob("*.png"):
        lighter(picture)
    script = site / "_static" / "scripts" / ICONS
    shown = [file for file in site.rglob("*") if file.suffix in {".html", ".js"} and file != script]
    used = {name for file in shown for name in re.findall(r"\bfa-([\w-]+)", file.read_text(encoding="utf-8"))}
    script.write_text(with_icons(script.read_text(encoding="utf-8"), used), encoding="utf-8")
    lighter_fonts(site / "_static")
    words = {word for file in shown for word in re.findall(r"[\w-]+", file.read_text(encoding="utf-8"))}
    for sheet in (site / "_static").rglob("*.css"):
        sheet.write_text(with_rules(sheet.read_text(encoding="utf-8"), words), encoding="utf-8")


def with_rules(sheet: str, words: set[str]) -> str:
    """A style sheet without the rules for classes that no page and no script names: a fifth stays.

    Icons are drawn by a script, so that their signs in the sheet go as well.

    >>> with_rules(".a,.b:hover{x:1}.b{y:2}@media print{p{z:3}.b .a{z:3}}.a:not(.b){v:4}", {"a"})
    '.a{x:1}@media print{p{z:3}}.a:not(.b){v:4}'
    """

    def rule(found: re.Match[str]) -> str:
        if found[1] is None:
            return ""  # a comment
        if re.match(r"--?fa|content:\"\\\\", found[2]) and ".fa-" in found[1]:
            return ""
        kept = [
            one
            for one in re.split(r",(?![^()]*\))", found[1])
            if "\\" in one or words.issuperset(CLASS.findall(IN_BRACKETS.sub("", one)))
        ]
        return f"{','.join(kept)}{{{found[2]}}}" if kept else ""

    return RULE.sub(rule, sheet)


def lighter(picture: Path) -> None:
    """Store a picture with 256 colours, where that is less: a figure has few, and takes a third of the bytes."""
    with Image.open(picture) as full:
        few = full.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    packed = BytesIO()
    few.save(packed, "PNG", optimize=True)
    if packed.tell() < picture.stat().st_size:
        picture.write_bytes(packed.getvalue())


def with_icons(script: str, used: set[str]) -> str:
    """The theme's script without the icons that no page has: twenty stay of two thousand.

    >>> with_icons('{bars:[448,512,["navicon"],"f0c9","M0"],x:[1,2,[],"f1","M"]}', {"navicon"})  # an older name of bars
    '{bars:[448,512,["navicon"],"f0c9","M0"],}'
    """
    return ICON.sub(lambda icon: icon[0] if used & {icon[1], *re.findall(r"[\w-]+", icon[2])} else "", script)


def lighter_fonts(static: Path) -> None:
    """Keep of the theme's fonts of icons the signs that its style sheet puts before links and notes."""
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    text = sheet.read_text(encoding="utf-8")
    sheet.write_text(PACKED_FONT.sub("", text), encoding="utf-8")
    for file in (static / "vendor" / "fontawesome" / "webfonts").iterdir():
        if file.suffix == ".ttf":
            font = subset.load_font(file, subset.Options())
            kept = subset.Subsetter()
            kept.populate(text="".join(IN_STYLE.findall(text)))
            kept.subset(font)
            font.save(file)
        else:
            file.unlink()
