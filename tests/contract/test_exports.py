"""The exported files are deterministic and their Avro form is plain JSON."""

import pytest

from contracts.checks.golden import avro_problem
from contracts.exports.avro import NotPlainJson, avro_schema
from contracts.exports.catalog import declared, read_golden, read_json
from contracts.exports.files import generated_files, shape_digest
from contracts.exports.tfvars import tfvars
from contracts.jobs import JobFailed, JobRequested
from contracts.metadata import MetadataRefreshed
from contracts.submissions import SubmissionGraded
from tests.support.contracts import variant


def test_the_same_models_give_the_same_bytes() -> None:
    assert generated_files(declared()) == generated_files(declared())


@pytest.mark.parametrize("message", declared().messages, ids=lambda message: message.NAME)
def test_what_pydantic_writes_is_the_avro_json_encoding(message: type) -> None:
    catalog = declared()
    golden = read_golden(catalog.golden(message, message.REVISION))
    schema = avro_schema(message)
    assert avro_problem(schema, golden.data) == ""
    # The service adds no defaults and drops no fields, so neither may the comparison.
    assert avro_problem(schema, {**golden.data, "surprise": 1})
    assert all(avro_problem(schema, {k: v for k, v in golden.data.items() if k != name}) for name in golden.data)


def test_times_stay_text_and_bounds_do_not_choose_the_integer_type() -> None:
    types = {field["name"]: field["type"] for field in avro_schema(JobRequested)["fields"]}
    assert types["requested_at"] == "string"
    bounded = variant(JobRequested, fields={"fence": (int, ...)})
    assert avro_schema(bounded)["fields"] == avro_schema(JobRequested)["fields"]


def test_nested_records_and_empty_list_defaults() -> None:
    fields = {field["name"]: field for field in avro_schema(MetadataRefreshed)["fields"]}
    assert fields["column_changes"]["default"] == []
    assert fields["column_changes"]["type"]["items"]["name"] == "ColumnChange"
    assert {field["name"]: field["type"] for field in avro_schema(SubmissionGraded)["fields"]}["score"] == "double"


@pytest.mark.parametrize("annotation", [str | None, int | str, list[str | None]])
def test_a_union_is_refused_and_named(annotation: object) -> None:
    with pytest.raises(NotPlainJson, match=r"job\.failed\.detail"):
        avro_schema(variant(JobFailed, fields={"detail": (annotation, ...)}))


def test_a_description_changes_no_shape_and_a_default_does() -> None:
    schema = read_json(declared().json_schema(JobFailed, 2))
    described = {**schema, "description": "Said better."}
    assert shape_digest(described) == shape_digest(schema)
    retyped = {**schema, "properties": {**schema["properties"], "description": {"type": "string"}}}
    assert shape_digest(retyped) != shape_digest(schema)


def test_terraform_gets_every_topic_and_subscription_with_its_schema() -> None:
    catalog = declared()
    values = tfvars(catalog)
    assert set(values["topics"]) == {topic.name for topic in catalog.topics}
    assert set(values["subscriptions"]) == {subscription.name for subscription in catalog.subscriptions}
    assert all((catalog.root / topic["schema_file"]).is_file() for topic in values["topics"].values())
    assert values["topics"]["job-failed.v1"]["schema_file"].endswith("job-failed.v1.r2.avsc")
    assert {sub["topic"] for sub in values["subscriptions"].values()} <= set(values["topics"])
