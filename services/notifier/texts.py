"""What people read, in Korean and English."""

from contracts.jobs import JobType
from contracts.problems import LocaleText

_JOBS: dict[str, tuple[str, str]] = {
    JobType.ANALYSIS: ("분석", "analysis"),
    JobType.REPORT: ("보고서", "report"),
    JobType.OPTIMIZATION: ("최적화", "optimization"),
    JobType.PREDICTION: ("예측", "prediction"),
    JobType.PROBLEM_GENERATION: ("문제 생성", "problem generation"),
    JobType.GRADING: ("채점", "grading"),
    JobType.METADATA_REFRESH: ("메타데이터 갱신", "metadata refresh"),
    JobType.DAILY_TIP: ("오늘의 팁", "tip of the day"),
    JobType.TRIAGE: ("요청 분류", "triage"),
}
_ALERTS: dict[str, tuple[str, str]] = {
    "dead_letter": ("처리할 수 없는 메시지가 보관되었습니다.", "A message could not be processed and was set aside."),
    "metadata_refresh_failed": ("메타데이터 갱신이 실패했습니다.", "Refreshing the metadata failed."),
    "email_disabled": ("메일 구독이 비활성화되었습니다.", "An e-mail subscription was disabled."),
    "webhook_disabled": ("웹훅이 비활성화되었습니다.", "A webhook was disabled."),
}


def job_succeeded(job_type: str) -> LocaleText:
    ko, en = _job(job_type)
    return LocaleText(ko=f"{ko} 작업이 완료되었습니다.", en=f"The {en} job has completed.")


def job_failed(job_type: str, *, retryable: bool) -> LocaleText:
    ko, en = _job(job_type)
    advice_ko, advice_en = (" 다시 시도할 수 있습니다.", " Trying again may help.") if retryable else ("", "")
    return LocaleText(ko=f"{ko} 작업이 실패했습니다.{advice_ko}", en=f"The {en} job has failed.{advice_en}")


def job_stopped(job_type: str) -> LocaleText:
    ko, en = _job(job_type)
    return LocaleText(
        ko=f"실행 중이던 {ko} 작업이 취소되었습니다.", en=f"The {en} job was cancelled while it was running."
    )


def graded(verdict: str, score: float) -> LocaleText:
    """``score``: partial credit, 0 to 1."""
    if verdict == "correct":
        return LocaleText(ko="정답입니다.", en="Your answer is correct.")
    percent = round(score * 100)
    return LocaleText(
        ko=f"오답입니다. 부분 점수 {percent}점.", en=f"Your answer is wrong. Partial credit: {percent} %."
    )


def alert(alert_type: str, source: str) -> LocaleText:
    known = _ALERTS.get(alert_type)
    if known is not None:
        return LocaleText(ko=f"[{source}] {known[0]}", en=f"[{source}] {known[1]}")
    return LocaleText(ko=f"[{source}] 알림: {alert_type}", en=f"[{source}] Alert: {alert_type}")


def _job(job_type: str) -> tuple[str, str]:
    return _JOBS.get(job_type, (job_type, job_type))
