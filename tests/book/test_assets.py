"""What a site loads is made lighter, and nothing of it that is seen goes."""

from importlib.metadata import files
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image

from afp_utils.book import assets


def test_icons_stay_by_their_name_or_an_older_one() -> None:
    script = 'var a={bars:[448,512,["navicon"],"f0c9","M0"],"arrow-up":[384,512,[8593],"f062",["M1","M2"]],x:[1,2,[],"f1","M"]};b()'
    assert assets.with_icons(script, {"navicon"}) == 'var a={bars:[448,512,["navicon"],"f0c9","M0"],};b()'
    assert assets.with_icons(script, {"arrow-up"}) == 'var a={"arrow-up":[384,512,[8593],"f062",["M1","M2"]],};b()'
    assert assets.with_icons(script, set()) == "var a={};b()"


def test_pictures_keep_their_looks(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 300 * 200 * 3).reshape(200, 300, 3).astype(np.uint8)
    ramp[20:60, 20:60] = 213, 94, 0
    Image.fromarray(ramp).save(tmp_path / "a.png", compress_level=1)
    before = (tmp_path / "a.png").stat().st_size
    assets.lighter(tmp_path / "a.png")
    after = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    assert (tmp_path / "a.png").stat().st_size < before
    assert np.abs(after - ramp).max() <= 8
    Image.fromarray(ramp[:2, :2]).save(tmp_path / "b.png")
    small = (tmp_path / "b.png").read_bytes()
    assets.lighter(tmp_path / "b.png")
    assert len((tmp_path / "b.png").read_bytes()) <= len(small)


def test_fonts_keep_the_signs_of_the_style_sheet(tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    fonts = tmp_path / "vendor" / "fontawesome" / "webfonts"
    fonts.mkdir(parents=True)
    (own,) = [file for file in files("matplotlib") or [] if file.name == "DejaVuSans.ttf"]
    (fonts / "fa-solid-900.ttf").write_bytes(Path(str(own.locate())).read_bytes())
    (fonts / "fa-solid-900.woff2").write_bytes(b"packed")
    face = '@font-face{src:url(../vendor/fontawesome/webfonts/fa-solid-900.woff2) format("woff2"),url(a.ttf)}'
    sheet = tmp_path / "styles" / "pydata-sphinx-theme.css"
    sheet.write_text(face + 'html{--pst-icon-one:"A";--pst-icon-two: "ß"}', encoding="utf-8")
    assets.lighter_fonts(tmp_path)
    assert {path.name for path in fonts.iterdir()} == {"fa-solid-900.ttf"}
    assert set(TTFont(fonts / "fa-solid-900.ttf").getBestCmap()) == {ord("A"), ord("ß")}
    assert sheet.read_text(encoding="utf-8").startswith("@font-face{src:url(a.ttf)}")


def test_rules_stay_whose_classes_are_named() -> None:
    words = {"kept", "open"}
    for sheet, left in {
        ".kept{a:1}.gone{a:1}": ".kept{a:1}",
        ".kept .gone,.kept>p,a:hover{a:1}": ".kept>p,a:hover{a:1}",
        "@media print{.gone{a:1}p{b:2}}": "@media print{p{b:2}}",
        ".kept:not(.gone,.other){a:1}": ".kept:not(.gone,.other){a:1}",
        '[data-x=".gone"] .kept{a:1}': '[data-x=".gone"] .kept{a:1}',
        '.kept:after{content:"}.gone{"}': '.kept:after{content:"}.gone{"}',
        "@keyframes x{0%{a:1}to{b:2}}": "@keyframes x{0%{a:1}to{b:2}}",
        ".a\\.5{a:1}": ".a\\.5{a:1}",
        "/* .kept{ */.gone{a:1}": "",
    }.items():
        assert assets.with_rules(sheet, words) == left, sheet
