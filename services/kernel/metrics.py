"""Every metric name of the platform, in one file. Instruments do nothing until a reader is configured."""

from opentelemetry import metrics

_meter = metrics.get_meter("querycraft")

MESSAGES_PUBLISHED = _meter.create_counter("querycraft.messages.published", description="Messages the broker took")
MESSAGES_CONSUMED = _meter.create_counter("querycraft.messages.consumed", description="Deliveries by outcome")
DEAD_LETTERS = _meter.create_counter("querycraft.dead_letters", description="Messages given up on")
OUTBOX_FAILURES = _meter.create_counter("querycraft.outbox.failures", description="Publishing attempts that failed")
JOBS_CREATED = _meter.create_counter("querycraft.jobs.created", description="Jobs accepted at the door")
JOBS_ENDED = _meter.create_counter("querycraft.jobs.ended", description="Jobs by type and terminal status")
JOB_SECONDS = _meter.create_histogram("querycraft.job.duration", unit="s", description="From creation to its end")
JOBS_REAPED = _meter.create_counter("querycraft.jobs.reaped", description="Jobs taken back from a silent worker")

MODEL_CALLS = _meter.create_counter("querycraft.model.calls", description="Calls by purpose, model and outcome")
MODEL_OFFLINE = _meter.create_counter("querycraft.model.offline", description="Answers without a model, by reason")
MODEL_TOKENS = _meter.create_histogram("gen_ai.client.token.usage", unit="{token}", description="Tokens of one call")
MODEL_SECONDS = _meter.create_histogram("gen_ai.client.operation.duration", unit="s", description="One call")

METADATA_RUNS = _meter.create_counter("querycraft.metadata.runs", description="Refreshes by status and error type")
METADATA_SECONDS = _meter.create_histogram("querycraft.metadata.run.duration", unit="s", description="One refresh")
METADATA_TABLES = _meter.create_counter("querycraft.metadata.tables", description="Tables looked at, by outcome")
METADATA_CALLS = _meter.create_counter("querycraft.metadata.calls", description="Calls to BigQuery and models, by kind")
METADATA_EVENTS = _meter.create_counter("querycraft.metadata.events", description="Change events by outcome")
