"""The floor: FastAPI and asyncpg doing nothing but the two inserts a job needs."""

import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel

TABLES = """
CREATE TABLE IF NOT EXISTS bare_jobs (
    id uuid PRIMARY KEY, type text, query text, options jsonb, status text, created_at timestamptz DEFAULT now());
CREATE TABLE IF NOT EXISTS bare_outbox (id bigserial PRIMARY KEY, job_id uuid, data jsonb);
"""
_INSERT = """
WITH job AS (INSERT INTO bare_jobs (id, type, query, options, status) VALUES ($1, $2, $3, $4, 'queued'))
INSERT INTO bare_outbox (job_id, data) VALUES ($1, $4)
"""


class Job(BaseModel):
    type: str
    query: str
    options: dict[str, object] = {}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["BARE_DATABASE_URL"], min_size=10, max_size=10)
    await app.state.pool.execute(TABLES)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=_lifespan)


@app.post("/jobs", status_code=202)
async def create(job: Job) -> dict[str, str]:
    job_id = uuid.uuid4()
    await app.state.pool.execute(_INSERT, job_id, job.type, job.query, json.dumps(job.options))
    return {"jobId": str(job_id), "status": "queued"}
