"""BigQuery audit log entries as Cloud Logging delivers them, by shape.

Source: https://cloud.google.com/bigquery/docs/reference/auditlogs/rest/Shared.Types/BigQueryAuditMetadata
"""

from __future__ import annotations

import base64
import json
from typing import Any


def entry(resource: str, metadata: dict[str, Any], *, method: str, **payload: Any) -> dict[str, Any]:
    return {
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "status": {},
            "authenticationInfo": {"principalEmail": "loader@example.iam.gserviceaccount.com"},
            "serviceName": "bigquery.googleapis.com",
            "methodName": method,
            "resourceName": resource,
            "metadata": {"@type": "type.googleapis.com/google.cloud.audit.BigQueryAuditMetadata", **metadata},
            **payload,
        },
        "insertId": "-9m2p7ge1b8f4",
        "resource": {"type": "bigquery_dataset", "labels": {"dataset_id": "shop"}},
        "timestamp": "2026-11-21T10:00:00.123456Z",
        "severity": "NOTICE",
        "logName": "projects/example/logs/cloudaudit.googleapis.com%2Factivity",
    }


def resource_of(table_id: str) -> str:
    project, dataset, table = table_id.split(".", 2)
    return f"projects/{project}/datasets/{dataset}/tables/{table}"


def table_change(table_id: str, reason: str = "TABLE_UPDATE_REQUEST", schema_json: str = "{}") -> dict[str, Any]:
    resource = resource_of(table_id)
    table = {"tableName": resource, "schemaJson": schema_json}
    method = "google.cloud.bigquery.v2.TableService.UpdateTable"
    return entry(resource, {"tableChange": {"table": table, "reason": reason}}, method=method)


def alter_table(table_id: str) -> dict[str, Any]:
    """DDL: logged under the query job that ran it, with the table as resource."""
    resource = resource_of(table_id)
    job = f"projects/{table_id.split('.', 1)[0]}/jobs/bquxjob_1"
    change = {"table": {"tableName": resource, "schemaJson": "{}"}, "reason": "QUERY", "jobName": job}
    return entry(resource, {"tableChange": change}, method="google.cloud.bigquery.v2.JobService.InsertJob")


def table_creation(table_id: str) -> dict[str, Any]:
    resource = resource_of(table_id)
    creation = {"table": {"tableName": resource}, "reason": "JOB"}
    return entry(resource, {"tableCreation": creation}, method="google.cloud.bigquery.v2.JobService.InsertJob")


def table_deletion(table_id: str) -> dict[str, Any]:
    method = "google.cloud.bigquery.v2.TableService.DeleteTable"
    return entry(resource_of(table_id), {"tableDeletion": {"reason": "TABLE_DELETE_REQUEST"}}, method=method)


def ddl_job(table_id: str, statement: str = "ALTER_TABLE") -> dict[str, Any]:
    """The job's own entry: only its configuration names the table."""
    project = table_id.split(".", 1)[0]
    query = {"query": "ALTER TABLE ...", "statementType": statement, "destinationTable": resource_of(table_id)}
    job = {"jobName": f"projects/{project}/jobs/j1", "jobConfig": {"type": "QUERY", "queryConfig": query}}
    return entry(
        f"projects/{project}/jobs/j1",
        {"jobChange": {"before": "RUNNING", "after": "DONE", "job": job}},
        method="google.cloud.bigquery.v2.JobService.InsertJob",
    )


def _legacy(method: str, resource: str, service_data: dict[str, Any]) -> dict[str, Any]:
    payload = {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "serviceName": "bigquery.googleapis.com",
        "methodName": method,
        "resourceName": resource,
        "serviceData": {"@type": "type.googleapis.com/google.cloud.bigquery.logging.v1.AuditData", **service_data},
    }
    return {"protoPayload": payload, "insertId": "x", "timestamp": "2026-11-21T10:00:00Z"}


def _legacy_name(table_id: str) -> dict[str, str]:
    return dict(zip(("projectId", "datasetId", "tableId"), table_id.split(".", 2), strict=True))


def legacy_update(table_id: str) -> dict[str, Any]:
    resource = {"resource": {"tableName": _legacy_name(table_id), "schemaJson": '{"fields": [{"name": "tru'}}
    return _legacy("tableservice.update", resource_of(table_id), {"tableUpdateRequest": resource})


def legacy_delete(table_id: str) -> dict[str, Any]:
    return _legacy("tableservice.delete", resource_of(table_id), {})


def legacy_ddl(table_id: str) -> dict[str, Any]:
    query = {"statementType": "DROP_TABLE", "ddlTargetTable": _legacy_name(table_id)}
    completed = {"job": {"jobConfiguration": {"query": query}}}
    return _legacy("jobservice.jobcompleted", "projects/p/jobs/j", {"jobCompletedEvent": completed})


SHAPES = {
    shape.__name__: shape
    for shape in (
        table_change,
        alter_table,
        table_creation,
        table_deletion,
        ddl_job,
        legacy_update,
        legacy_delete,
        legacy_ddl,
    )
}


def binary(event: Any, kind: str = "google.cloud.audit.log.v1.written") -> tuple[dict[str, str], bytes]:
    headers = {
        "ce-id": "projects/example/logs/activity1700",
        "ce-source": "//cloudaudit.googleapis.com/projects/example/logs/activity",
        "ce-type": kind,
        "ce-specversion": "1.0",
        "content-type": "application/json",
    }
    return headers, json.dumps(event).encode()


def structured(event: Any) -> tuple[dict[str, str], bytes]:
    headers, _ = binary(event)
    document = {name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")}
    body = json.dumps({**document, "datacontenttype": "application/json", "data": event}).encode()
    return {"content-type": "application/cloudevents+json; charset=utf-8"}, body


def pubsub_push(event: Any) -> tuple[dict[str, str], bytes]:
    message = {
        "data": base64.b64encode(json.dumps(event).encode()).decode(),
        "attributes": {"logging.googleapis.com/timestamp": "2026-11-21T10:00:00.123456Z"},
        "messageId": "11223344",
        "publishTime": "2026-11-21T10:00:01Z",
    }
    push = {"message": message, "subscription": "projects/p/subscriptions/metadata.bigquery-changes"}
    return {"content-type": "application/json"}, json.dumps(push).encode()


def bare(event: Any) -> tuple[dict[str, str], bytes]:
    return {"content-type": "application/json"}, json.dumps(event).encode()


ENVELOPES = {envelope.__name__: envelope for envelope in (binary, structured, pubsub_push, bare)}
