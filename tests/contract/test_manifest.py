"""The manifest is whole, and each way of breaking it is refused with what to do."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from contracts import manifest
from contracts.checks.manifest import check_manifest
from contracts.exports.catalog import Catalog, declared
from contracts.jobs import JobFailed, JobRequested, JobType
from contracts.manifest import SUBSCRIPTIONS, TOPICS, WORKERS, Subscription, Topic
from tests.support.contracts import variant


def test_it_is_whole() -> None:
    assert check_manifest(declared()) == []


def test_no_job_type_has_two_workers() -> None:
    served = [job_type for types in WORKERS.values() for job_type in types]
    assert len(served) == len(set(served))
    assert set(served) <= set(JobType)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_gets_its_own_job_types_and_no_others(worker: str) -> None:
    (subscription,) = (sub for sub in manifest.subscriptions_of(worker) if sub.message is JobRequested)
    for job_type in JobType:
        accepted = subscription.accepts({"job_type": job_type, "priority": "high"})
        assert accepted == (job_type in WORKERS[worker])
    assert not subscription.accepts({})


def test_the_filter_expression_says_what_accepts_does() -> None:
    assert Subscription(JobFailed, "intake").filter_expression() == ""
    both = Subscription(JobRequested, "x", filter={"job_type": ("grading", "triage"), "priority": ("high",)})
    assert both.filter_expression() == (
        '(attributes.job_type = "grading" OR attributes.job_type = "triage") AND attributes.priority = "high"'
    )
    assert both.accepts({"job_type": "triage", "priority": "high"})
    assert not both.accepts({"job_type": "triage", "priority": "low"})


def test_lookups_agree_with_the_declaration() -> None:
    for topic in TOPICS:
        assert manifest.topic_of(topic.message.event_type()) is topic
        assert all(sub.topic == topic.name for sub in manifest.subscriptions_to(topic.name))
    assert {sub.name for sub in manifest.subscriptions_of("notifier")} == {
        sub.name for sub in SUBSCRIPTIONS if sub.consumer == "notifier"
    }
    with pytest.raises(KeyError):
        manifest.topic_of("querycraft.job.requested.v9")


def _with_topic(**changes: object) -> Callable[[Catalog], Catalog]:
    def change(catalog: Catalog) -> Catalog:
        topics = [replace(t, **changes) if t.message is JobFailed else t for t in catalog.topics]  # type: ignore[arg-type]
        return replace(catalog, topics=tuple(topics))

    return change


def _with_subscription(**changes: object) -> Callable[[Catalog], Catalog]:
    def change(catalog: Catalog) -> Catalog:
        broken = replace(Subscription(JobRequested, "archive"), **changes)  # type: ignore[arg-type]
        return replace(catalog, subscriptions=(*catalog.subscriptions, broken))

    return change


def _without_topic(catalog: Catalog) -> Catalog:
    return replace(catalog, topics=tuple(topic for topic in catalog.topics if topic.message is not JobFailed))


def _without_consumers(catalog: Catalog) -> Catalog:
    kept = tuple(sub for sub in catalog.subscriptions if sub.message is not JobFailed)
    return replace(catalog, subscriptions=kept)


def _declared_twice(catalog: Catalog) -> Catalog:
    return replace(catalog, topics=(*catalog.topics, Topic(JobFailed, owner="intake", producers=("intake",))))


BREAKS: dict[str, tuple[Callable[[Catalog], Catalog], str]] = {
    "no topic": (_without_topic, "querycraft.job.failed.v1 has no topic"),
    "no owner": (_with_topic(owner=""), "job-failed.v1 has no owner"),
    "no producers": (_with_topic(producers=()), "job-failed.v1 has no producers"),
    "no consumers": (_without_consumers, "job-failed.v1 has no consumers"),
    "declared twice": (_declared_twice, "topic job-failed.v1 is declared 2 times"),
    "subscribed twice": (_with_subscription(consumer="grader"), "grader.job-requested.v1 is declared 2 times"),
    "filter on a plain field": (_with_subscription(filter={"user_id": ("x",)}), "filters on 'user_id'"),
    "filter that accepts nothing": (_with_subscription(filter={"priority": ()}), "accepts no value of 'priority'"),
    "filter too long": (_with_subscription(filter={"priority": tuple("abcdefghijkl")}), "has a filter of"),
    "ack deadline too long": (_with_subscription(ack_deadline=601), "ack deadline of 601 s"),
    "too few attempts": (_with_subscription(max_attempts=4), "allows 4 attempts"),
    "backoff upside down": (_with_subscription(min_backoff=61.0), "backs off from 61.0 s to 60.0 s"),
}


@pytest.mark.parametrize(("change", "what"), BREAKS.values(), ids=BREAKS)
def test_a_broken_manifest_is_refused(change: Callable[[Catalog], Catalog], what: str) -> None:
    found = check_manifest(change(declared()))
    (finding,) = [finding for finding in found if what in finding.what]
    assert finding.where == "contracts/manifest.py"
    assert finding.remedy


def test_a_filterable_name_that_is_no_field_is_refused() -> None:
    wrong = variant(JobFailed)
    wrong.FILTERABLE = ("job_type", "colour")
    catalog = declared()
    topics = tuple(replace(t, message=wrong) if t.message is JobFailed else t for t in catalog.topics)
    found = check_manifest(replace(catalog, messages=(), topics=topics))
    assert any("'colour'" in finding.what and finding.where == "contracts.jobs.JobFailed" for finding in found)
