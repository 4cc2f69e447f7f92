"""Messages about practice problems."""

from typing import ClassVar

from pydantic import AwareDatetime, Field

from contracts.message import JsonText, Long, Message, Record


class LocaleText(Record):
    """The same text in Korean and English; a missing language is an empty string."""

    ko: str
    en: str


class LocaleHints(Record):
    """Hints in growing order of help; none shows the reference SQL."""

    ko: list[str]
    en: list[str]


class GradingDataSet(Record):
    """One data set a problem is graded on: small ones inline, large ones as Parquet in GCS.

    Its rows are always synthetic. Those for a company's table are drawn after its schema and profile; they are not the
    table's own rows.
    """

    name: str
    kind: str = Field(description="'base' or 'small'.")
    row_count: Long = Field(ge=0)
    inline: JsonText = Field(default="{}", description="{table: [row]} when small enough, else {}.")
    uri: str = Field(default="", description="gs:// prefix holding <table>.parquet, or empty when inline.")


class Provenance(Record):
    source: str = Field(description="'offline' or 'model'.")
    model: str = ""
    prompt_version: str = ""
    seed: Long = Field(ge=0)


class ProblemPublished(Message):
    """A problem that passed every check. Only the grader reads the reference SQL; it never reaches a client."""

    NAME: ClassVar[str] = "problem.published"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("data_type",)
    SUBJECT: ClassVar[str] = "problem_id"

    problem_id: str
    job_id: str = ""
    problem_date: str = Field(description="ISO date in Asia/Seoul.")
    data_type: str
    set_index: Long = Field(ge=0)
    difficulty: str
    title: LocaleText
    description: LocaleText
    initial_sql: str
    expected_answer: JsonText = Field(description="{columns: [...], rows: [[...]]} on the base data set.")
    hints: LocaleHints
    tags: list[str]
    ddl: list[str]
    reference_sql: str
    ordered: bool
    datasets: list[GradingDataSet]
    provenance: Provenance
    published_at: AwareDatetime
