"""A report as HTML and PDF, with plots. Pure, and run in a process of its own: matplotlib never enters the service."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HANGUL_FONTS = ("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")
SKILLS_SHOWN = 12
SLOT_NAMES = {
    "ko": {"night": "밤", "morning": "아침", "afternoon": "오후", "evening": "저녁"},
    "en": {"night": "night", "morning": "morning", "afternoon": "afternoon", "evening": "evening"},
}
TEXTS = {
    "ko": {
        "title": "학습 보고서",
        "scores": "과목별 예상 점수 (80 % 구간)",
        "strengths": "개념별 강점과 약점 (평균과의 차이)",
        "hours": "시간대별 학습 세션 비중",
        "learner": "학습자",
        "subject": "과목",
        "score": "예상 점수",
        "interval": "80 % 구간",
        "group": "집단 평균",
        "basis": "근거",
        "hidden": "학습 세션이 적어 시간대는 숨깁니다.",
        "none": "보여 줄 만큼 확실한 개념이 아직 없습니다.",
    },
    "en": {
        "title": "Learning report",
        "scores": "Expected score per subject (80 % interval)",
        "strengths": "Strengths and weaknesses per concept (against the usual)",
        "hours": "Share of sessions per time of day",
        "learner": "Learner",
        "subject": "Subject",
        "score": "Expected score",
        "interval": "80 % interval",
        "group": "Group mean",
        "basis": "Rests on",
        "hidden": "Times of day are hidden: too few sessions.",
        "none": "No concept is certain enough to show yet.",
    },
}


@dataclass(frozen=True)
class LearnerPage:
    """``scores``: (subject, mean, low, high). ``strengths``: (skill, difference from usual, confidence), weakest first.
    ``slots``: (slot, share), or None when hidden."""

    learner: str
    note: dict[str, str]
    scores: list[tuple[str, float, float, float]]
    strengths: list[tuple[str, float, float]]
    slots: list[tuple[str, float]] | None


@dataclass(frozen=True)
class Report:
    title: str
    language: str
    made_at: str
    pages: list[LearnerPage]


@dataclass(frozen=True)
class Rendered:
    """``pdf_language`` differs from the report's when this machine has no font for it."""

    html: bytes
    pdf: bytes
    pdf_language: str


def render(report: Report) -> Rendered:
    """Raises ValueError: no pages."""
    if not report.pages:
        raise ValueError("a report needs at least one learner")
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.fonttype"] = "none"
    font = _hangul_font()
    language = report.language if report.language == "en" or font else "en"
    if font:
        mpl.rcParams["font.family"] = [font, "DejaVu Sans"]
    mpl.rcParams["axes.unicode_minus"] = False
    return Rendered(_html(report).encode(), _pdf(report, language, drawable=font is not None), language)


def _hangul_font() -> str | None:
    from matplotlib import font_manager

    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return next((name for name in HANGUL_FONTS if name in installed), None)


def _html(report: Report) -> str:
    texts = TEXTS[report.language]
    title = html.escape(report.title or texts["title"])
    parts = [
        f'<!doctype html><html lang="{report.language}"><head><meta charset="utf-8"><title>{title}</title>',
        "<style>body{font-family:sans-serif;max-width:60rem;margin:2rem auto}table{border-collapse:collapse}"
        "td,th{border:1px solid #bbb;padding:.3rem .6rem;text-align:left}svg,img{max-width:100%}</style></head><body>",
        f"<h1>{title}</h1><p>{html.escape(report.made_at)}</p>",
        _group_table(report),
    ]
    parts.extend(_html_page(report, page) for page in report.pages)
    return "".join(parts) + "</body></html>"


def _group_table(report: Report) -> str:
    """Means over the learners, only for more than one."""
    if len(report.pages) < 2:
        return ""
    texts = TEXTS[report.language]
    rows = [f"<h2>{texts['group']}</h2><table><tr><th>{texts['subject']}</th><th>{texts['score']}</th></tr>"]
    rows.extend(
        f"<tr><td>{html.escape(subject)}</td><td>{mean:.0%}</td></tr>" for subject, mean in group_means(report.pages)
    )
    return "".join(rows) + "</table>"


def group_means(pages: list[LearnerPage]) -> list[tuple[str, float]]:
    sums: dict[str, list[float]] = {}
    for page in pages:
        for subject, mean, _, _ in page.scores:
            sums.setdefault(subject, []).append(mean)
    return [(subject, sum(values) / len(values)) for subject, values in sums.items()]


def _html_page(report: Report, page: LearnerPage) -> str:
    texts = TEXTS[report.language]
    header = f"<tr><th>{texts['subject']}</th><th>{texts['score']}</th><th>{texts['interval']}</th></tr>"
    rows = "".join(
        f"<tr><td>{html.escape(subject)}</td><td>{mean:.0%}</td><td>{low:.0%} – {high:.0%}</td></tr>"
        for subject, mean, low, high in page.scores
    )
    remarks = [] if page.slots is not None else [texts["hidden"]]
    remarks += [] if page.strengths else [texts["none"]]
    # Axis labels in the picture are ASCII: a picture has no fonts to choose from, the words around it do.
    picture = base64.b64encode(_png(_figure(page, "en", drawable=False))).decode()
    return (
        f"<h2>{texts['learner']}: {html.escape(page.learner)}</h2>"
        f"<p>{texts['basis']}: {html.escape(page.note[report.language])}</p><table>{header}{rows}</table>"
        f"<p>{' '.join(remarks)}</p>"
        f'<img alt="{texts["strengths"]}" src="data:image/png;base64,{picture}">'
    )


def _pdf(report: Report, language: str, *, drawable: bool) -> bytes:
    from matplotlib import pyplot
    from matplotlib.backends.backend_pdf import PdfPages

    target = io.BytesIO()
    with PdfPages(target) as pdf:
        for page in report.pages:
            figure = _figure(page, language, drawable=drawable)
            pdf.savefig(figure)
            pyplot.close(figure)
    return target.getvalue()


def _png(figure: Figure) -> bytes:
    from matplotlib import pyplot

    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=80)
    pyplot.close(figure)
    return target.getvalue()


def _figure(page: LearnerPage, language: str, *, drawable: bool) -> Figure:
    """One page of three plots. ``drawable``: whether names in Hangul can be drawn; otherwise they are escaped."""
    from matplotlib import pyplot

    texts = TEXTS[language]

    def label(text: str) -> str:
        # A dollar sign would start mathematics.
        shown = text if drawable else text.encode("ascii", "backslashreplace").decode()
        return shown[:40].replace("$", r"\$")

    figure, axes = pyplot.subplots(3, 1, figsize=(8.27, 11.69), layout="constrained")
    figure.suptitle(f"{texts['learner']}: {label(page.learner)}")
    _bars_of_scores(axes[0], page, texts["scores"], label)
    _bars_of_strengths(axes[1], page, texts, label)
    if page.slots is None:
        axes[2].text(0.5, 0.5, texts["hidden"], ha="center")
    else:
        axes[2].bar([SLOT_NAMES[language][slot] for slot, _ in page.slots], [share for _, share in page.slots])
    axes[2].set_title(texts["hours"])
    return figure


def _bars_of_scores(axes: Any, page: LearnerPage, title: str, label: Any) -> None:
    names = [label(subject) for subject, *_ in page.scores]
    means = [mean for _, mean, _, _ in page.scores]
    errors = [
        [max(0.0, mean - low) for _, mean, low, _ in page.scores],
        [max(0.0, high - mean) for _, mean, _, high in page.scores],
    ]
    if names:
        axes.errorbar(range(len(names)), means, yerr=errors, fmt="o", capsize=6)
        axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, 1)
    axes.set_title(title)


def _bars_of_strengths(axes: Any, page: LearnerPage, texts: dict[str, str], label: Any) -> None:
    ranked = page.strengths
    if len(ranked) > SKILLS_SHOWN:
        ranked = ranked[: SKILLS_SHOWN // 2] + ranked[-SKILLS_SHOWN // 2 :]
    if ranked:
        positions = list(range(len(ranked)))
        axes.barh(positions, [difference for _, difference, _ in ranked])
        axes.set_yticks(positions, [label(skill) for skill, _, _ in ranked])
        axes.axvline(0, color="black", linewidth=0.8)
    else:
        axes.text(0.5, 0.5, texts["none"], ha="center")
    axes.set_title(texts["strengths"])
