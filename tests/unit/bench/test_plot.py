"""The picture of a bench is one that every viewer draws."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from agent.bench.figures import Bench
from agent.bench.plot import svg
from tests.sim.benches import bench

SVG = "{http://www.w3.org/2000/svg}"


def drawn(of: Bench) -> ET.Element:
    return ET.fromstring(svg(of))


def rects(of: Bench, kind: str) -> list[ET.Element]:
    return [each for each in drawn(of).iter(f"{SVG}rect") if each.get("class") == kind]


def texts(of: Bench) -> list[str]:
    return [each.text or "" for each in drawn(of).iter(f"{SVG}text")]


def test_every_variant_has_its_bars_and_a_column_for_each_rate() -> None:
    two = bench("fp32", "int8")
    bars, legend, columns = 2, 1, 6
    assert len(rects(two, "limit")) == 4
    assert len(rects(two, "v0")) == len(rects(two, "v1")) == bars + legend + columns


def test_the_agents_bar_is_as_long_as_its_share_of_the_limits() -> None:
    limit, agent = rects(bench(), "limit")[0], rects(bench(), "v0")[0]
    assert round(float(agent.get("width", "0")) / float(limit.get("width", "0")), 2) == round(100 / 111, 2)


def test_columns_say_how_many_cameras_and_by_when() -> None:
    told = texts(bench())
    assert "10 a second" in told
    assert "250 ms" in told
    mixed = [each for each in texts(bench("fp32", "int8")) if " · " in each]
    assert mixed
    assert all(each.endswith(" ms") for each in mixed), "one deadline of each variant"


def test_everything_stays_in_the_picture() -> None:
    for of in (bench("a", "b", "c", "d", "e"), bench(task="tensor", film=None), bench(others=1.0, stopped=True)):
        root = drawn(of)
        _, _, width, height = map(float, (root.get("viewBox") or "").split())
        for each in root.iter(f"{SVG}rect"):
            x, y, wide, high = (float(each.get(name, "0")) for name in ("x", "y", "width", "height"))
            assert min(x, y) >= 0
            assert x + wide <= width
            assert y + high <= height


def test_names_of_others_are_text_and_nothing_else() -> None:
    odd = bench('<b>&"', release='a "release" <1>')
    assert any('<b>&"' in each for each in texts(odd))
    assert drawn(odd).get("aria-label", "").startswith('a "release" <1>')


def test_it_needs_nothing_beside_it() -> None:
    written = svg(bench("fp32", "int8"))
    assert "href" not in written
    assert "url(" not in written
    assert written.count("http") == 1, "the namespace"
