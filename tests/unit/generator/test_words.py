"""Korean particles follow the sound before them."""

import pytest

from services.generator.offline.lexicon import label
from services.generator.offline.words import Text, listed, say, settle


@pytest.mark.parametrize(
    ("template", "settled"),
    [
        ("국가을(를)", "국가를"),
        ("상품을(를)", "상품을"),
        ("국가(`country`)이(가)", "국가(`country`)가"),
        ("가입일(`joined_on`)은(는)", "가입일(`joined_on`)은"),
        ("서울으로(로)", "서울로"),  # a final ㄹ takes 로
        ("부산으로(로)", "부산으로"),
        ("10을(를)", "10을"),
        ("2이(가)", "2가"),
        ("'KR'이(가)", "'KR'이"),
        ("'US'이(가)", "'US'가"),
        ("`email`을(를)", "`email`을"),
        ("`orders`을(를)", "`orders`를"),
        ("`desktop`과(와)", "`desktop`과"),
        ("`type`과(와)", "`type`와"),
    ],
)
def test_particles(template: str, settled: str) -> None:
    assert settle(template) == settled


def test_text_without_particles_is_left_alone() -> None:
    assert settle("정렬: `a` 내림차순(큰 값부터).") == "정렬: `a` 내림차순(큰 값부터)."


def test_parts_bring_their_own_language() -> None:
    made = say("{x}의 합계", "the total {x}", x=Text("금액", "amount"))
    assert (made.ko, made.en) == ("금액의 합계", "the total amount")
    assert listed([Text("가", "a"), Text("나", "b"), Text("다", "c")]).en == "a, b and c"


def test_labels_show_the_identifier_and_translate_only_what_they_know() -> None:
    assert label("order_items").full.ko == "주문 품목(`order_items`)"
    assert label("zorb_quux").full.ko == "`zorb_quux`"
    assert label("고객번호").plain.ko == "고객번호"
    assert label("categories").singular == "category"
