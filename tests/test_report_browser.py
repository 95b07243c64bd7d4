"""The inspection page in a real browser, opened from disk."""

import re
import shutil
from copy import copy

import numpy as np
import pytest
from PIL import Image

from skpadim import PaDiM, report
from skpadim.datasets import make_inspection_images

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install 'skpadim[test]'"
)

pytestmark = pytest.mark.slow  # a page takes a second to open

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    sync_api.expect.set_options(timeout=120_000)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a report; fail in the end if it complained, or asked for anything over a network."""
    contexts, complaints, requests = [], [], []

    def open_(path, width=1200, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url.split(":")[0] for url in requests} <= {"file", "data"}


@pytest.fixture(scope="module")
def new():
    return make_inspection_images(n_good=14, n_defective=8, image_size=96, random_state=7)


@pytest.fixture(scope="module")
def labelled(detector, new, tmp_path_factory):
    path = tmp_path_factory.mktemp("labelled") / "report.html"
    return report(detector, new.images, new.y, new.masks, path=path, title="Flanges")


@pytest.fixture
def page(open_page, labelled):
    return open_page(labelled)


def settled(page):
    """Wait until the page has drawn what it was last told."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def move_threshold(page, step):
    page.get_by_label("Threshold", exact=True).and_(page.locator("[type=range]")).fill(str(step))
    settled(page)


def type_threshold(page, value):
    page.get_by_role("spinbutton", name="Threshold").fill(repr(float(value)))
    page.keyboard.press("Enter")
    settled(page)


def told_by_python(page, detector):
    """Run the line of Python that the page shows."""
    scope = {"detector": copy(detector)}
    exec(page.get_by_label("In Python").input_value(), scope)
    return scope["detector"]


def indices(page):
    """Positions in X of the tiles, in the order of the page."""
    names = page.locator(".tile .name").all_text_contents()
    return [int(re.fullmatch(r"X\[(\d+)\]", name).group(1)) for name in names]


def outcomes(page):
    """What the tiles say, by position in X."""
    words = page.locator(".tile .verdict").all_text_contents()
    return {i: word.split(maxsplit=1)[1] for i, word in zip(indices(page), words, strict=True)}


def expected_outcomes(decisions, y):
    words = {(-1, -1): "Defective", (1, 1): "Good", (-1, 1): "False alarm", (1, -1): "Miss"}
    return {i: words[pair] for i, pair in enumerate(zip(decisions, y, strict=True))}


def counts(page):
    """Numbers by what they count."""
    texts = [button.inner_text().split("\n") for button in page.locator("#counts button").all()]
    return {words[2:].split(",")[0]: int(number.split(" of ")[0]) for number, words in texts}


def shown(page):
    return page.locator(".tile:visible").count()


def load_all(page):
    """Have every tile drawn: those out of sight are not."""
    page.set_viewport_size({"width": 1200, "height": 4000})
    sync_api.expect(page.locator(".tile img[src]")).to_have_count(page.locator(".tile").count())
    settled(page)


def pixels_inside(page, kind, width, height):
    """Pixels of a grid whose centres lie inside the outline of each tile, by position in X."""
    masks = page.evaluate(
        """([kind, width, height]) => {
          const context = document.createElement("canvas").getContext("2d");
          return [...document.querySelectorAll(".tile")].map((tile) => {
            const line = tile.querySelector(`path.${kind}`);
            const { width: across, height: down } = line.ownerSVGElement.viewBox.baseVal;
            const path = new Path2D(line.getAttribute("d") ?? "");
            const inside = [];
            for (let y = 0; y < height; y++)
              for (let x = 0; x < width; x++)
                inside.push(context.isPointInPath(
                  path, (x + 0.5) * across / width, (y + 0.5) * down / height, "evenodd"));
            return inside;
          });
        }""",
        [kind, width, height],
    )
    return {
        i: np.reshape(mask, (height, width)) for i, mask in zip(indices(page), masks, strict=True)
    }


# What is seen at first. That nothing is complained of or fetched, every test holds.


def test_a_score_that_is_no_number_is_no_good_image(open_page, labelled, tmp_path):
    """JSON has null for it, which JavaScript compares as 0, above every threshold."""
    content = labelled.read_text()
    scores = re.findall(r'"score": (-[\d.]+)', content)
    path = tmp_path / "null.html"
    path.write_text(content.replace(f'"score": {scores[-1]}', '"score": null'))
    page = open_page(path)
    assert outcomes(page)[indices(page)[-1]] in ("Defective", "False alarm")


def test_images_come_in_the_order_of_their_scores(page, detector, new):
    scores = detector.score_samples(new.images)
    assert indices(page) == np.argsort(scores, kind="stable").tolist()


def test_decisions_are_the_detectors(page, detector, new):
    assert outcomes(page) == expected_outcomes(detector.predict(new.images), new.y)


def test_the_line_of_python_has_the_detectors_threshold(page, detector):
    assert told_by_python(page, detector).offset_ == detector.offset_


def test_markup_in_names_is_not_run(open_page, detector, new, tmp_path):
    folder = tmp_path / "<script>document.title = 'hacked'<"
    folder.mkdir()
    image = folder / "script><img src=x onerror=\"document.title = 'hacked'\">.png"
    Image.fromarray(new.images[0]).save(image)
    path = report(detector, [image], path=tmp_path / "report.html", title="<b>Flanges</b>")
    page = open_page(path)
    page.locator(".tile").click()
    assert page.get_by_role("heading", level=2, name=image.name).is_visible()
    assert page.title() == "<b>Flanges</b>"
    assert page.get_by_role("heading", level=1).inner_text() == "<b>Flanges</b>"


# The threshold.


@pytest.mark.parametrize("step", [0, 150, 420, 555, 800, 1000])
def test_the_slider_moves_decisions_and_counts_as_the_line_of_python_does(
    page, detector, new, step
):
    move_threshold(page, step)
    decisions = told_by_python(page, detector).predict(new.images)
    assert outcomes(page) == expected_outcomes(decisions, new.y)
    assert counts(page) == {
        "called defective": np.sum(decisions == -1),
        "called good": np.sum(decisions == 1),
        "false alarms": np.sum((decisions == -1) & (new.y == 1)),
        "misses": np.sum((decisions == 1) & (new.y == -1)),
    }


def test_the_slider_reaches_from_all_defective_to_all_good(page, new):
    move_threshold(page, 0)
    assert counts(page)["called defective"] == len(new.y)
    move_threshold(page, 1000)
    assert counts(page)["called good"] == len(new.y)


def test_the_slider_moves_by_the_keyboard(page):
    slider = page.get_by_role("slider", name="Threshold")
    before = page.get_by_label("In Python").input_value()
    step = int(slider.input_value())
    slider.press("ArrowRight")
    settled(page)
    assert int(slider.input_value()) == step + 1
    assert page.get_by_label("In Python").input_value() != before


def test_the_slider_says_what_it_does(page, new):
    move_threshold(page, 1000)
    text = page.get_by_role("slider", name="Threshold").get_attribute("aria-valuetext")
    assert text.endswith(f": 0 of {len(new.y)} called defective")


def test_the_line_of_python_is_short_once_the_slider_has_moved(page):
    move_threshold(page, 321)
    line = page.get_by_label("In Python").input_value()
    assert re.fullmatch(r"detector\.offset_ = -\d+\.\d{1,4}", line)


def test_an_image_at_the_threshold_is_good_and_one_just_above_is_not(page, detector, new):
    peaks = -detector.score_samples(new.images)
    index = int(np.argsort(peaks)[len(peaks) // 2])
    type_threshold(page, peaks[index])
    assert outcomes(page)[index] in ("Good", "Miss")
    type_threshold(page, np.nextafter(peaks[index], 0))
    assert outcomes(page)[index] in ("Defective", "False alarm")


def test_a_typed_threshold_stays_on_the_axis(page, new):
    type_threshold(page, 1e9)
    assert counts(page)["called good"] == len(new.y)
    assert page.get_by_role("slider", name="Threshold").input_value() == "1000"


def test_the_detectors_threshold_comes_back(page, detector):
    move_threshold(page, 900)
    page.get_by_role("button", name="Detector's own threshold").click()
    settled(page)
    assert told_by_python(page, detector).offset_ == detector.offset_


def test_the_line_of_python_is_copied(open_page, labelled):
    page = open_page(labelled, permissions=["clipboard-read", "clipboard-write"])
    move_threshold(page, 500)
    page.get_by_role("button", name="Copy line").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.get_by_label("In Python").input_value()


def test_the_line_of_python_is_selected_where_it_cannot_be_copied(page):
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject('no'); }")
    page.get_by_role("button", name="Copy line").click()
    page.get_by_role("button", name="Selected: press Ctrl+C").wait_for()
    assert page.evaluate("getSelection().toString()").startswith("detector.offset_ = -")


def test_the_threshold_parts_defective_images_from_good_ones(page):
    move_threshold(page, 500)
    order = page.locator("#grid > *").evaluate_all(
        "(all) => all.map((element) => element.id || element.querySelector('.verdict').textContent)"
    )
    at = order.index("divider")
    assert all(word.startswith("▲") for word in order[:at])
    assert all(word.startswith("●") for word in order[at + 1 :])
    assert 0 < at < len(order) - 1


# Heatmaps and outlines.


@pytest.mark.parametrize("step", [0, 300, 600, 900])
def test_an_outline_is_there_exactly_if_an_image_is_called_defective(page, step):
    move_threshold(page, step)
    load_all(page)
    for tile in page.locator(".tile").all():
        defective = tile.locator(".verdict").inner_text().startswith("▲")
        assert bool(tile.locator("path.mask").last.get_attribute("d")) == defective


def test_a_peak_that_just_exceeds_the_threshold_has_an_outline_that_is_seen(page, detector, new):
    peaks = -detector.score_samples(new.images)
    type_threshold(page, np.nextafter(peaks.max(), 0))
    load_all(page)
    assert counts(page)["called defective"] == 1
    box = page.locator(".tile path.mask:not(.halo)").first.bounding_box()
    assert box["width"] >= 2
    assert box["height"] >= 2


@pytest.mark.parametrize("step", [350])
def test_outlines_are_the_masks_but_for_pixels_close_to_the_threshold(
    open_page, parts, new, tmp_path, step
):
    detector = PaDiM().fit(parts.images[:20])
    page = open_page(report(detector, new.images, path=tmp_path / "report.html"))
    move_threshold(page, step)
    load_all(page)
    drawn = pixels_inside(page, "mask", 224, 224)
    moved = told_by_python(page, detector)
    heatmaps, masks = moved.predict_heatmap(new.images), moved.predict_mask(new.images)
    disagree = np.stack([drawn[i] for i in range(len(masks))]) != masks
    relative = heatmaps[disagree] / -moved.offset_
    assert np.abs(relative - 1).max(initial=0) < 0.03
    assert disagree.sum() < 0.05 * masks.sum()


def test_outlines_of_true_defects_are_the_masks(page, new):
    load_all(page)
    drawn = pixels_inside(page, "truth", 96, 96)
    for index, mask in enumerate(new.masks):
        np.testing.assert_array_equal(drawn[index], mask)


def test_heatmaps_show_where_they_are_high(page, detector, new):
    load_all(page)
    heatmaps = detector.predict_heatmap(new.images)
    alphas = page.locator(".tile canvas").evaluate_all(
        """(all) => all.map((canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return Array.from(data.filter((_, i) => i % 4 === 3));
        })"""
    )
    for index, alpha in zip(indices(page), alphas, strict=True):
        alpha = np.reshape(alpha, (32, 32))
        reduced = heatmaps[index].reshape(32, 2, 32, 2).mean(axis=(1, 3)) / -detector.offset_
        assert (alpha[reduced > 1.02] == 255).all()
        assert (alpha[reduced < 0.98] < 255).all()
        assert (alpha[reduced < 0.49] == 0).all()


def test_one_colour_stands_for_one_distance_in_all_images(page, detector, new):
    move_threshold(page, 250)
    load_all(page)
    heatmaps = detector.predict_heatmap(new.images)
    colours = page.locator(".tile canvas").evaluate_all(
        """(all) => all.map((canvas) => Array.from(
          canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data))"""
    )
    by_index = dict(zip(indices(page), colours, strict=True))
    distances = np.stack([heatmaps[i].reshape(32, 2, 32, 2).mean((1, 3)) for i in by_index])
    rgba = np.stack([np.reshape(colour, (32, 32, 4)) for colour in by_index.values()])
    # Red grows along most of the scale, whichever image a pixel is of.
    threshold = -told_by_python(page, detector).offset_
    highest = max(heatmaps.max(), 2 * threshold)
    place = np.log(distances / threshold) / np.log(highest / threshold)
    above = (place > 0.01) & (place < 0.85)
    assert len(set(np.nonzero(above)[0])) > 2
    order = np.argsort(distances[above])
    red = rgba[above][order, 0].astype(int)
    assert len(red) > 100
    assert (np.maximum.accumulate(red) - red).max() <= 5


def test_the_slider_sets_the_opacity_of_heatmaps(page):
    page.get_by_role("slider", name="Heatmap opacity").fill("25")
    assert page.locator(".heat").first.evaluate("(e) => getComputedStyle(e).opacity") == "0.25"


@pytest.mark.parametrize(("name", "kind"), [("Mask", "mask"), ("True defect", "truth")])
def test_outlines_can_be_switched_off(page, name, kind):
    load_all(page)
    outline = page.locator(f".tile .outline path.{kind}:not(.halo)").first
    assert outline.is_visible()
    page.get_by_role("checkbox", name=name).uncheck()
    assert not outline.is_visible()


@pytest.mark.filterwarnings("ignore:.*the training images:UserWarning")
def test_images_of_mixed_sizes_are_shown_in_their_own_shape(open_page, detector, tmp_path):
    rng = np.random.default_rng(0)
    sizes = [(60, 120), (120, 60), (80, 80), (20, 200)]
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    page = open_page(report(detector, images, path=tmp_path / "report.html"))
    for tile, index in zip(page.locator(".tile").all(), indices(page), strict=True):
        height, width = sizes[index]
        box = tile.locator(".view").bounding_box()
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)
        frame = tile.locator(".frame").bounding_box()
        assert max(box["width"], box["height"]) == pytest.approx(frame["width"], abs=1)
        tile.click()
        box = page.locator("#viewer .view").bounding_box()
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)
        page.keyboard.press("Escape")


# Filters.


@pytest.mark.parametrize("decision", ["good", "defective"])
@pytest.mark.parametrize("label", ["", "good", "defective"])
def test_filters_show_what_they_say(page, detector, new, decision, label):
    move_threshold(page, 450)
    page.get_by_role("combobox", name="Decision").select_option(decision)
    page.get_by_role("combobox", name="Label").select_option(label)
    sign = {"good": 1, "defective": -1}
    wanted = told_by_python(page, detector).predict(new.images) == sign[decision]
    if label:
        wanted &= new.y == sign[label]
    visible = page.locator(".tile:visible .name").all_text_contents()
    assert sorted(visible) == sorted(f"X[{i}]" for i in np.flatnonzero(wanted))


def test_filters_follow_the_threshold(page):
    page.get_by_role("combobox", name="Decision").select_option("defective")
    for step in (200, 700):
        move_threshold(page, step)
        assert shown(page) == counts(page)["called defective"]


def test_a_count_shows_its_images_and_all_of_them_again(page, new):
    move_threshold(page, 150)
    button = page.get_by_role("button", name="false alarms")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert shown(page) == counts(page)["false alarms"] > 0
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert shown(page) == len(new.y)


def test_where_no_image_matches_all_can_be_had_back(page, new):
    move_threshold(page, 1000)
    page.get_by_role("combobox", name="Decision").select_option("defective")
    assert shown(page) == 0
    page.get_by_role("button", name="Show all images").click()
    assert shown(page) == len(new.y)


def test_without_labels_there_is_no_word_of_them(open_page, detector, new, tmp_path):
    page = open_page(report(detector, new.images, path=tmp_path / "report.html"))
    assert set(counts(page)) == {"called defective", "called good"}
    for text in ("labelled", "false alarm", "miss", "True defect"):
        assert (
            page.get_by_text(re.compile(text, re.IGNORECASE)).locator("visible=true").count() == 0
        )


# Keyboard and one image.


def focused(page):
    """Name of the tile that has the focus."""
    return page.evaluate("document.querySelector('.tile:focus .name')?.textContent")


def test_tab_reaches_the_images_once_and_arrows_go_on(page):
    names = page.locator(".tile .name").all_text_contents()
    page.locator("#show-truth").focus()
    page.keyboard.press("Tab")
    assert focused(page) == names[0]
    page.keyboard.press("ArrowRight")
    assert focused(page) == names[1]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert focused(page) == names[0]
    page.keyboard.press("End")
    assert focused(page) == names[-1]
    page.keyboard.press("Home")
    assert focused(page) == names[0]
    page.keyboard.press("Tab")
    assert focused(page) is None


def test_arrows_up_and_down_stay_in_their_column(page):
    move_threshold(page, 0)
    tiles = page.locator(".tile")
    places = [tile.bounding_box() for tile in tiles.all()]
    columns = sum(place["y"] == places[0]["y"] for place in places)
    assert 2 <= columns < len(places)
    tiles.nth(1).focus()
    page.keyboard.press("ArrowDown")
    assert focused(page) == tiles.nth(columns + 1).locator(".name").inner_text()
    page.keyboard.press("ArrowUp")
    assert focused(page) == tiles.nth(1).locator(".name").inner_text()
    page.keyboard.press("ArrowUp")
    assert focused(page) == tiles.nth(1).locator(".name").inner_text()


def test_arrows_cross_the_threshold(page):
    type_threshold(page, float(page.locator(".tile .peak").nth(1).inner_text()) * 0.999)
    page.locator(".tile").nth(1).focus()
    page.keyboard.press("ArrowDown")
    good = [name for name, word in outcomes(page).items() if word in ("Good", "Miss")]
    assert int(focused(page)[2:-1]) in good


def test_an_image_is_opened_leafed_through_and_closed_by_the_keyboard(page):
    names = page.locator(".tile .name").all_text_contents()
    page.locator(".tile").nth(2).focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("heading", level=2, name=names[2], exact=True).is_visible()
    page.locator("#viewer img[src]").wait_for()
    assert shown(page) == 0
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("heading", level=2, name=names[3], exact=True).is_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("heading", level=2, name=names[1], exact=True).is_visible()
    page.keyboard.press("Escape")
    assert shown(page) == len(names)
    assert focused(page) == names[1]


def test_an_open_image_tells_its_score_and_follows_the_threshold(page, detector, new):
    index = indices(page)[0]
    page.locator(".tile").first.click()
    facts = page.locator("#viewer-facts")
    assert repr(float(detector.score_samples(new.images)[index])) in facts.inner_text()
    assert "labelled defective" in facts.inner_text()
    assert "Defective" in facts.inner_text()
    assert page.locator("#viewer path.mask").last.get_attribute("d")
    move_threshold(page, 1000)
    assert "Miss" in facts.inner_text()
    assert not page.locator("#viewer path.mask").last.get_attribute("d")


def test_the_buttons_of_an_open_image_end_at_the_first_and_the_last(page, new):
    page.locator(".tile").first.click()
    assert page.get_by_role("button", name="Previous").is_disabled()
    page.keyboard.press("End")
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_role("button", name="Previous").click()
    assert f"{len(new.y) - 1} of {len(new.y)}" in page.locator("#viewer-facts").inner_text()
    page.get_by_role("button", name="All images").click()
    assert shown(page) == len(new.y)


def test_an_open_image_that_a_filter_loses_is_left_to_those_that_it_keeps(page):
    page.get_by_role("combobox", name="Decision").select_option("good")
    page.locator(".tile:visible").last.click()
    move_threshold(page, 0)
    assert page.get_by_role("button", name="Previous").is_disabled()
    page.keyboard.press("Escape")
    assert shown(page) == 0
    assert page.get_by_text("No image matches.").is_visible()


def test_letters_switch_heatmap_and_outlines_on_an_image_only(page):
    opacity = page.get_by_role("slider", name="Heatmap opacity")
    boxes = [page.get_by_role("checkbox", name=name) for name in ("Mask", "True defect")]
    page.get_by_role("combobox", name="Decision").focus()
    for key in "hmt":
        page.keyboard.press(key)
    assert opacity.input_value() == "50"
    assert all(box.is_checked() for box in boxes)
    page.locator(".tile").first.focus()
    for key in "hmt":
        page.keyboard.press(key)
    assert opacity.input_value() == "0"
    assert not any(box.is_checked() for box in boxes)
    page.keyboard.press("h")
    assert opacity.input_value() == "50"


def test_keys_with_control_are_the_browsers(page):
    page.locator(".tile").first.focus()
    page.keyboard.press("Control+m")
    assert page.get_by_role("checkbox", name="Mask").is_checked()


def test_the_keys_are_told_on_the_page(page):
    keys = page.get_by_role("region", name="Keyboard").inner_text()
    for key in ("←", "→", "Enter", "Esc", "Home", "End", "H", "M", "T"):
        assert key in keys


def test_every_control_has_a_name_and_shows_its_focus(page):
    for control in page.locator("button, input, select").locator("visible=true").all():
        name = control.evaluate(
            "(e) => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.innerText"
        )
        assert name.strip()
    page.keyboard.press("Tab")
    for _ in range(8):
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid"
        page.keyboard.press("Tab")


# Screens and sizes.


@pytest.mark.parametrize("width", [320, 400, 800, 1400])
def test_nothing_is_wider_than_the_window(open_page, labelled, width):
    page = open_page(labelled, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".tile").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_narrow_window_folds_the_controls_but_for_the_threshold(open_page, labelled):
    page = open_page(labelled, width=400)
    assert page.get_by_role("slider", name="Threshold").is_visible()
    assert not page.get_by_role("combobox", name="Decision").is_visible()
    page.get_by_text("Python line, filters").click()
    assert page.get_by_role("combobox", name="Decision").is_visible()
    page.mouse.wheel(0, 2000)
    settled(page)
    assert page.get_by_role("slider", name="Threshold").bounding_box()["y"] < 200


def contrast(first, second):
    def luminance(colour):
        values = np.array([int(v) for v in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_dark(open_page, labelled, scheme):
    page = open_page(labelled, color_scheme=scheme)
    move_threshold(page, 150)
    colour = "(e, name) => getComputedStyle(e)[name]"
    back = page.locator(".tile").first.evaluate(colour, "backgroundColor")
    assert (contrast(back, "rgb(255, 255, 255)") < 1.5) == (scheme == "light")
    # The ratio that the Web Content Accessibility Guidelines 2.2 ask for at level AA.
    for selector in (".name", ".peak", ".truth-label", "[data-outcome=defective] .verdict"):
        words = page.locator(f".tile {selector}, .tile{selector}").first
        assert contrast(back, words.evaluate(colour, "color")) >= 4.5
    badge = page.locator(".tile[data-outcome=false-alarm] .verdict").first
    assert (
        contrast(badge.evaluate(colour, "color"), badge.evaluate(colour, "backgroundColor")) >= 4.5
    )


def test_a_thousand_images_load_at_once_and_are_drawn_where_they_are_seen(
    open_page, detector, new, tmp_path
):
    images = [new.images[i % len(new.images)] for i in range(1000)]
    path = report(detector, images, path=tmp_path / "report.html")
    assert path.stat().st_size < 15_000 * 1000
    page = open_page(path)
    page.locator(".tile img[src]").first.wait_for()
    settled(page)
    assert page.locator(".tile").count() == 1000
    assert page.locator(".tile img[src]").count() < 60
    page.locator(".tile").last.scroll_into_view_if_needed()
    page.locator(".tile img[src]").last.wait_for()
    sync_api.expect(page.locator(".tile").first.locator("img[src]")).to_have_count(0)
    assert page.locator(".tile img[src]").count() < 60
    move_threshold(page, 0)
    assert counts(page)["called defective"] == 1000
    move_threshold(page, 1000)
    assert counts(page)["called good"] == 1000
