"""Labelling interfaces: ours, and those that people made."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from labeler.label_studio.interface import Interface, Unsuitable, check, compose

CLASSES = ("zeta", "alpha")


def test_ours_has_the_classes_in_their_order_and_passes() -> None:
    names = ("zeta", "a & b", 'say "x"', "<tag>")
    config = compose(names)
    assert [tag.get("value") for tag in ElementTree.fromstring(config).iter("Label")] == list(names)
    assert check(config, names) == Interface("image", "image", "label")


def test_one_made_by_hand_passes_by_its_own_names_and_in_any_order() -> None:
    config = """<View><Header value="Parts"/><View style="x"><RectangleLabels name="boxes" toName="photo">
        <Label value="alpha" background="red"/><Label value="Zeta!" alias="zeta"/></RectangleLabels></View>
        <Image name="photo" value="$picture"/>
        <Choices name="c" toName="photo"><Choice value="dark"/></Choices></View>"""
    assert check(config, CLASSES) == Interface("picture", "photo", "boxes")


def _labels(*names: str) -> str:
    return "".join(f'<Label value="{name}"/>' for name in names)


_IMAGE = '<Image name="image" value="$image"/>'


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("<View>", "can't be read as XML"),
        ("<View/>", "it shows no image; add <Image"),
        (f'<View><RectangleLabels name="l" toName="image">{_labels(*CLASSES)}</RectangleLabels></View>', "no image"),
        (f"<View>{_IMAGE}</View>", "it has 0 RectangleLabels and must have one"),
        (
            f'<View>{_IMAGE}<RectangleLabels name="l" toName="other">{_labels(*CLASSES)}</RectangleLabels></View>',
            "must have as toName an <Image>",
        ),
        (
            f'<View>{_IMAGE}<RectangleLabels name="l" toName="image">{_labels("zeta")}</RectangleLabels></View>',
            'add <Label value="alpha"/>',
        ),
        (
            f'<View>{_IMAGE}<RectangleLabels name="l" toName="image">{_labels("zeta", "alpha", "nut")}'
            "</RectangleLabels></View>",
            "remove the Label 'nut' (or add it to the Dataset's classes)",
        ),
    ],
)
def test_what_will_not_do_says_what_to_change(config: str, words: str) -> None:
    with pytest.raises(Unsuitable) as caught:
        check(config, CLASSES)
    assert words in str(caught.value)
