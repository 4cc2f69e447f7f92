"""What BigQuery's audit logs say about tables, in every shape they come in. Pure.

Whatever an event says is a hint that a table may have changed; the table itself is read again. So the parser looks
only for which tables are meant, and a truncated ``schemaJson`` costs nothing.

Sources: https://cloud.google.com/bigquery/docs/reference/auditlogs/rest/Shared.Types/BigQueryAuditMetadata (current),
https://cloud.google.com/bigquery/docs/reference/auditlogs (legacy ``serviceData``), CloudEvents 1.0 with
``google.events.cloud.audit.v1.LogEntryData`` (Eventarc), LogEntry JSON (Log Router).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.kernel.errors import PermanentError
from services.metadata.domain.tables import TableId


class EventRefused(PermanentError):
    """This is no audit log entry of BigQuery that anybody could act on; says what is wrong where."""

    code = "malformed_event"


class HintKind(StrEnum):
    CHANGED = "changed"
    CREATED = "created"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened to a table. ``reason``: as the log names it (JOB, QUERY, TABLE_UPDATE_REQUEST), or empty."""

    table: TableId
    kind: HintKind
    reason: str = ""


_SERVICE = "bigquery.googleapis.com"
_RESOURCE = re.compile(r"(?:^|/)projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/]+)/tables/(?P<table>[^/$@]+)")
_METADATA_KINDS = {
    "tableChange": HintKind.CHANGED,
    "tableCreation": HintKind.CREATED,
    "tableDeletion": HintKind.DELETED,
    "tableDataChange": HintKind.CHANGED,
}
_LEGACY_REQUESTS = {
    "tableInsertRequest": HintKind.CREATED,
    "tableUpdateRequest": HintKind.CHANGED,
    "tableInsertResponse": HintKind.CREATED,
    "tableUpdateResponse": HintKind.CHANGED,
}
_LEGACY_DELETE = re.compile(r"(?i)tableservice\.(?:delete|delete_?table)$")
_DDL_KINDS = (("DROP", HintKind.DELETED), ("CREATE", HintKind.CREATED), ("ALTER", HintKind.CHANGED))


def hints_in(entry: Any) -> tuple[Hint, ...]:
    """Tables that a log entry (or Eventarc's data, which has the same fields) says have changed; empty for none.

    Raises:
        EventRefused: it is no audit log entry of BigQuery, or names a table that cannot exist.
    """
    payload = _mapping(entry, "event").get("protoPayload")
    if not isinstance(payload, Mapping):
        raise EventRefused("protoPayload: missing; send the log entry itself, or a CloudEvent or push that carries it")
    service = payload.get("serviceName", _SERVICE)
    if service != _SERVICE:
        raise EventRefused(f"protoPayload.serviceName: {str(service)[:80]!r} is not {_SERVICE}")
    if _failed(payload):
        return ()
    return _unique([*_from_metadata(payload), *_from_service_data(payload), *_from_legacy_delete(payload)])


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise EventRefused(f"{where}: must be a JSON object, not {type(value).__name__}")
    return value


def _failed(payload: Mapping[str, Any]) -> bool:
    """A refused request changed nothing."""
    status = payload.get("status")
    return isinstance(status, Mapping) and bool(status.get("code"))


def _from_metadata(payload: Mapping[str, Any]) -> Iterable[Hint]:
    metadata = payload.get("metadata")
    if not isinstance(metadata, Mapping):
        return
    resource = str(payload.get("resourceName", ""))
    for name, kind in _METADATA_KINDS.items():
        change = metadata.get(name)
        if change is None:
            continue
        reason = str(change.get("reason", "")) if isinstance(change, Mapping) else ""
        stated = change.get("table") if isinstance(change, Mapping) else None
        named = stated.get("tableName") if isinstance(stated, Mapping) else None
        yield Hint(_table_of(str(named or resource), "protoPayload.resourceName"), kind, reason[:100])
    yield from _from_job(metadata)


def _from_job(metadata: Mapping[str, Any]) -> Iterable[Hint]:
    """DDL inside a query job: the job's own entry names the table it changed."""
    for name in ("jobChange", "jobInsertion"):
        query = _at(metadata, name, "job", "jobConfig", "queryConfig")
        statement = str(query.get("statementType", ""))
        destination = query.get("destinationTable")
        if not isinstance(destination, str):
            continue
        for prefix, kind in _DDL_KINDS:
            if statement.startswith(prefix) and "TABLE" in statement:
                yield Hint(_table_of(destination, f"{name}...destinationTable"), kind, "QUERY")


def _from_service_data(payload: Mapping[str, Any]) -> Iterable[Hint]:
    """Entries of the old AuditData shape, which some sinks still receive."""
    data = payload.get("serviceData")
    if not isinstance(data, Mapping):
        return
    for name, kind in _LEGACY_REQUESTS.items():
        named = _at(data, name, "resource", "tableName")
        if named:
            yield Hint(_legacy_table(named), kind)
    query = _at(data, "jobCompletedEvent", "job", "jobConfiguration", "query")
    statement = str(query.get("statementType", ""))
    for key in ("ddlTargetTable", "destinationTable"):
        target = query.get(key)
        if isinstance(target, Mapping) and target.get("tableId"):
            for prefix, kind in _DDL_KINDS:
                if statement.startswith(prefix) and "TABLE" in statement:
                    yield Hint(_legacy_table(target), kind, "QUERY")
            return


def _from_legacy_delete(payload: Mapping[str, Any]) -> Iterable[Hint]:
    """``tableservice.delete`` says which table in the resource's name only."""
    if _LEGACY_DELETE.search(str(payload.get("methodName", ""))) and not isinstance(payload.get("metadata"), Mapping):
        resource = str(payload.get("resourceName", ""))
        yield Hint(_table_of(resource, "protoPayload.resourceName"), HintKind.DELETED)


def _at(value: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _legacy_table(named: Mapping[str, Any]) -> TableId:
    text = ".".join(str(named.get(key, "")) for key in ("projectId", "datasetId", "tableId"))
    return _parsed(text, "protoPayload.serviceData")


def _table_of(resource: str, where: str) -> TableId:
    match = _RESOURCE.search(resource)
    if match is None:
        raise EventRefused(f"{where}: {resource[:200]!r} names no table (projects/_/datasets/_/tables/_)")
    return _parsed(f"{match['project']}.{match['dataset']}.{match['table']}", where)


def _parsed(text: str, where: str) -> TableId:
    # A partition decorator (orders$20260101) or snapshot (orders@-3600000) is still the table.
    try:
        return TableId.parse(re.split(r"[$@]", text, maxsplit=1)[0])
    except ValueError as error:
        raise EventRefused(f"{where}: {error}") from error


def _unique(hints: Iterable[Hint]) -> tuple[Hint, ...]:
    return tuple({(hint.table, hint.kind): hint for hint in hints}.values())
