"""``scripts.contracts check`` passes on the repository and names every way of breaking it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from contracts.checks.finding import Finding
from contracts.exports.catalog import Catalog, declared, read_json, to_text
from contracts.jobs import JobFailed, JobSucceeded
from contracts.message import Long
from scripts import contracts as command
from tests.support.contracts import copied, variant, with_message


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return copied(tmp_path)


def _the_finding(found: list[Finding], what: str) -> Finding:
    matching = [finding for finding in found if what in finding.what]
    assert matching, f"nothing says {what!r} in {[str(finding) for finding in found]}"
    assert matching[0].remedy
    return matching[0]


def test_the_repository_passes() -> None:
    assert command.check(declared()) == []


def test_a_copy_passes_and_exports_to_the_same_bytes(catalog: Catalog) -> None:
    before = {path: path.read_bytes() for path in catalog.root.rglob("*") if path.is_file()}
    assert command.check(catalog) == []
    assert command.export(catalog) == []
    assert {path: path.read_bytes() for path in catalog.root.rglob("*") if path.is_file()} == before


MODEL_CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "new field without default": ({"fields": {"cause": (str, ...)}, "revision": 3}, "new field cause has no default"),
    "field removed": ({"without": ("error_code",), "revision": 3}, "field error_code was removed"),
    "field retyped": ({"fields": {"fence": (str, ...)}, "revision": 3}, "fence changed its type"),
    "values narrowed": (
        {"fields": {"job_type": (Literal["grading", "report"], ...)}, "revision": 3},
        "job_type now accepts only ['grading', 'report']",
    ),
    "changed without a new revision": ({"fields": {"cause": (str, "")}}, "differs from revision 2 as it was published"),
    "optional field": ({"fields": {"cause": (str | None, None)}, "revision": 3}, "is a union"),
    "integer without bounds": (
        {"fields": {"attempts": (Long, 0)}, "revision": 3},
        "attempts may exceed the 64 bits of an Avro long",
    ),
    "default factory": (
        {"fields": {"causes": (list[str], Field(default_factory=list))}},
        "default of causes is a factory",
    ),
}


@pytest.mark.parametrize(("change", "what"), MODEL_CHANGES.values(), ids=MODEL_CHANGES)
def test_a_breaking_model_is_refused_and_never_exported(catalog: Catalog, change: dict[str, Any], what: str) -> None:
    changed = with_message(catalog, JobFailed, variant(JobFailed, **change))
    assert _the_finding(command.check(changed), what).where == "contracts.jobs.JobFailed"
    before = {path: path.read_bytes() for path in catalog.root.rglob("*") if path.is_file()}
    _the_finding(command.export(changed), what)
    assert {path: path.read_bytes() for path in catalog.root.rglob("*") if path.is_file()} == before


def test_a_compatible_change_needs_an_example_then_an_export_then_passes(catalog: Catalog) -> None:
    third = variant(JobFailed, fields={"attempts": (Long, Field(default=0, ge=0))}, revision=3)
    changed = with_message(catalog, JobFailed, third)
    path = changed.golden(third, 3)
    assert _the_finding(command.check(changed), "no golden file for revision 3").where == changed.where(path)
    _the_finding(command.export(changed), "no golden example of the current revision")

    example = read_json(catalog.golden(JobFailed, 2))
    example["data"]["attempts"] = 4
    path.write_text(to_text(example), encoding="utf-8")
    _the_finding(command.check(changed), "no avro file for revision 3")
    assert command.export(changed) == []
    assert command.check(changed) == []
    digests = read_json(changed.digests)["job-failed.v1"]
    assert set(digests) == {"r1", "r2", "r3"}
    assert "golden" in digests["r2"], "the example of a superseded revision is frozen with it"


def test_a_revision_that_was_never_deployed_may_be_taken_back(catalog: Catalog) -> None:
    changed = with_message(catalog, JobFailed, variant(JobFailed, fields={"fence": (str, ...)}))
    remedy = _the_finding(command.export(changed), "differs from revision 2 as it was published").remedy
    assert "if r2 was never deployed, delete its entry in contracts/schemas/digests.json" in remedy

    _edit(catalog.digests, lambda content: content["job-failed.v1"].pop("r2"))
    refused = command.export(changed)
    assert [finding.what for finding in refused] == [
        "fence changed its type from 'integer' to 'string': this breaks revision 1",
    ], "revision 1 still stands"


def test_a_text_may_change_without_a_new_revision_but_must_be_exported(catalog: Catalog) -> None:
    described = variant(JobFailed, fields={"error_code": (str, Field(description="Stable, for programs."))})
    changed = with_message(catalog, JobFailed, described)
    stale = _the_finding(command.check(changed), "stale")
    assert stale.where == "contracts/schemas/json/job-failed.v1.r2.json"
    assert "scripts.contracts export" in stale.remedy
    assert command.export(changed) == []
    assert command.check(changed) == []


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = read_json(path)
    change(content)
    path.write_text(to_text(content), encoding="utf-8")


FILE_CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "old avro edited": (
        "contracts/schemas/avro/job-failed.v1.r1.avsc",
        lambda content: content["fields"].pop(),
        "revision 1 was published and may not change",
    ),
    "old json schema edited": (
        "contracts/schemas/json/job-failed.v1.r1.json",
        lambda content: content["required"].clear(),
        "revision 1 was published and may not change",
    ),
    "old example edited": (
        "contracts/golden/job.failed.v1/r1.json",
        lambda content: content["data"].update(error_code="other"),
        "revision 1 was published and may not change",
    ),
    "example does not decode": (
        "contracts/golden/job.failed.v1/r2.json",
        lambda content: content["data"].update(fence="many"),
        "JobFailed no longer decodes it (fence:",
    ),
    "example lacks a field": (
        "contracts/golden/job.failed.v1/r2.json",
        lambda content: content["data"].pop("retryable"),
        "does not match contracts/schemas/avro/job-failed.v1.r2.avsc: fields ['retryable']",
    ),
    "example breaks a bound": (
        "contracts/golden/job.progressed.v1/r1.json",
        lambda content: content["data"].update(progress=101),
        "101 is greater than the maximum of 100",
    ),
    "attribute contradicts data": (
        "contracts/golden/job.failed.v1/r2.json",
        lambda content: content["attributes"].update(job_type="report"),
        "attribute job_type is 'report', the data says 'grading'",
    ),
    "example without attributes": (
        "contracts/golden/job.failed.v1/r2.json",
        lambda content: content.pop("attributes"),
        "must hold exactly 'attributes' and 'data'",
    ),
    "stale AsyncAPI": ("contracts/asyncapi.json", lambda content: content.pop("servers"), "stale"),
    "stale Terraform input": (
        "terraform/manifest.auto.tfvars.json",
        lambda content: content["topics"].pop("alerts.v1"),
        "stale",
    ),
    "digest missing": (
        "contracts/schemas/digests.json",
        lambda content: content.pop("alert-raised.v1"),
        "revision 1 has no recorded avro digest",
    ),
}


@pytest.mark.parametrize(("name", "change", "what"), FILE_CHANGES.values(), ids=FILE_CHANGES)
def test_a_changed_file_is_found(
    catalog: Catalog, name: str, change: Callable[[dict[str, Any]], object], what: str
) -> None:
    _edit(catalog.root / name, change)
    assert _the_finding(command.check(catalog), what).where == name


@pytest.mark.parametrize("name", ["schemas/avro/job-failed.v1.r1.avsc", "golden/job.failed.v1/r1.json"])
def test_a_deleted_old_file_is_found(catalog: Catalog, name: str) -> None:
    (catalog.root / "contracts" / name).unlink()
    finding = _the_finding(command.check(catalog), "file for revision 1")
    assert (finding.where, finding.remedy) == (f"contracts/{name}", "restore it from version control")


def test_exporting_again_does_not_launder_an_edited_old_revision(catalog: Catalog) -> None:
    _edit(catalog.avro(JobFailed, 1), lambda content: content["fields"].pop())
    command.export(catalog)
    _the_finding(command.check(catalog), "revision 1 was published and may not change")


def test_a_left_over_export_is_found(catalog: Catalog) -> None:
    left_over = catalog.schemas / "avro/job-paused.v1.r1.avsc"
    left_over.write_text("{}", encoding="utf-8")
    assert _the_finding(command.check(catalog), "belongs to no declared message").where == catalog.where(left_over)


def test_a_message_the_manifest_forgot_is_found(catalog: Catalog) -> None:
    forgetful = replace(catalog, topics=tuple(t for t in catalog.topics if t.message is not JobSucceeded))
    _the_finding(command.check(forgetful), "querycraft.job.succeeded.v1 has no topic")


def test_a_subscription_to_an_undeclared_topic_is_found(catalog: Catalog) -> None:
    lost = variant(JobFailed)
    lost.NAME = "job.lost"
    subscriptions = tuple(
        replace(s, message=lost) if s.name == "intake.job-failed.v1" else s for s in catalog.subscriptions
    )
    _the_finding(command.check(replace(catalog, subscriptions=subscriptions)), "reads a topic that is not declared")


def test_the_command_says_what_where_and_what_to_do(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "declared", lambda: catalog)
    assert command.main(["check"]) == 0
    assert "check done" in capsys.readouterr().out
    catalog.asyncapi.write_text(json.dumps({}), encoding="utf-8")
    assert command.main(["check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "contracts/asyncapi.json: stale: the models or the manifest changed since",
        "    -> run: python -m scripts.contracts export, and commit what it writes",
        "findings: 1",
    ]
    assert command.main(["export"]) == 0
    assert command.main(["check"]) == 0
