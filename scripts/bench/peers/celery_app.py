"""The usual way: FastAPI, a row in SQLite, and Celery over Redis."""

import json
import os
import sqlite3
import uuid

from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

_DATABASE = os.environ.get("PEER_SQLITE", "peer.sqlite3")

tasks = Celery("peer", broker=os.environ.get("PEER_REDIS", "redis://127.0.0.1:6379/0"))
tasks.conf.task_ignore_result = True
app = FastAPI()


class Job(BaseModel):
    type: str
    query: str
    options: dict[str, object] = {}


def _connect() -> sqlite3.Connection:
    connection = sqlite3.connect(_DATABASE)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, type TEXT, query TEXT, options TEXT, status TEXT)"
    )
    return connection


@tasks.task
def run(job_id: str) -> None:
    """The job does nothing; only creating is measured."""


@app.post("/jobs", status_code=202)
def create(job: Job) -> dict[str, str]:
    job_id = str(uuid.uuid4())
    connection = _connect()
    with connection:
        connection.execute(
            "INSERT INTO jobs VALUES (?, ?, ?, ?, 'queued')", (job_id, job.type, job.query, json.dumps(job.options))
        )
    connection.close()
    run.delay(job_id)
    return {"jobId": job_id, "status": "queued"}
