"""What is made of a card that anybody may have written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controlplane.registry import cards
from controlplane.registry.difference import number

HARBOUR = (Path(__file__).parents[3] / "models" / "harbour" / "release" / "card.md").read_text()


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](/signout)",
        "![a](https://elsewhere.example/pixel.png)",
        "| <b onclick=x()>a</b> |\n|---|\n| <style>*{}</style> |",
        "<javascript:alert(1)>",
        '[a]: javascript:alert(1) "x"\n\n[a]',
    ],
)
def test_nothing_in_a_card_runs_loads_or_leads_into_our_pages(hostile: str) -> None:
    tags = re.findall(r"<[a-z][^>]*>", cards.html(hostile))
    assert not [tag for tag in tags if re.match(r"<(script|img|style|b )", tag) or " on" in tag]
    assert all(url.startswith("https://") for url in re.findall(r'href="([^"]*)"', "".join(tags)))
    assert "style=" not in "".join(tags)


def test_links_out_of_a_card_tell_nobody_where_they_were_found() -> None:
    assert 'href="https://a.example/x" rel="noreferrer noopener nofollow"' in cards.html("[a](https://a.example/x)")


def test_headings_sink_below_those_of_the_page_and_aligned_columns_have_a_class() -> None:
    shown = cards.html("# one\n\n##### five\n\n| a |\n|--:|\n| 1 |\n")
    assert "<h3>one</h3>" in shown
    assert "<h6>five</h6>" in shown
    assert '<td class="to-right">1</td>' in shown


def test_the_figures_of_a_card_are_the_numbers_in_its_tables() -> None:
    found = cards.figures(HARBOUR)
    assert found == {
        "boat · AP50": "0.857",
        "container · AP50": "0.936",
        "person · AP50": "0.920",
        "truck · AP50": "0.974",
        "mAP50": "0.922",
    }
    assert number("97.5 %") == 97.5
    assert number("none") is None


def test_an_endless_card_is_cut_and_says_so() -> None:
    assert "is not shown" in cards.html("word " * cards.MOST)
