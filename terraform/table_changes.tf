# Hints that a BigQuery table changed. Two roads, because each misses something: the sink carries the
# metadata of every change, DDL inside query jobs included; Eventarc is for those who already use it.
# All of it waits until the metadata service is among var.services.

resource "google_pubsub_topic" "bigquery_changes" {
  count = local.has_metadata ? 1 : 0

  name       = "bigquery-changes"
  labels     = { owner = "metadata" }
  depends_on = [google_project_service.needed]
}

resource "google_logging_project_sink" "bigquery_changes" {
  count = local.has_metadata ? 1 : 0

  name                   = "querycraft-bigquery-changes"
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.bigquery_changes[0].id}"
  unique_writer_identity = true
  filter                 = <<-EOT
    protoPayload.serviceName="bigquery.googleapis.com"
    (protoPayload.metadata.tableChange:* OR protoPayload.metadata.tableCreation:* OR protoPayload.metadata.tableDeletion:*)
  EOT
}

resource "google_pubsub_topic_iam_member" "sink_publishes" {
  count = local.has_metadata ? 1 : 0

  topic  = google_pubsub_topic.bigquery_changes[0].id
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.bigquery_changes[0].writer_identity
}

resource "google_pubsub_subscription" "bigquery_changes" {
  count = local.has_metadata ? 1 : 0

  name                       = "metadata.bigquery-changes"
  topic                      = google_pubsub_topic.bigquery_changes[0].id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "5s"
    maximum_backoff = "600s"
  }

  push_config {
    push_endpoint = "${google_cloud_run_v2_service.service["metadata"].uri}/events/bigquery"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.push_audience["metadata"]
    }
  }
}

resource "google_service_account" "eventarc" {
  count = local.has_metadata ? 1 : 0

  account_id   = "querycraft-eventarc"
  display_name = "QueryCraft: Eventarc"
}

resource "google_project_iam_member" "eventarc_receiver" {
  count = local.has_metadata ? 1 : 0

  project = var.project_id
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.eventarc[0].member
}

resource "google_cloud_run_v2_service_iam_member" "eventarc_calls_metadata" {
  count = local.has_metadata ? 1 : 0

  name     = google_cloud_run_v2_service.service["metadata"].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.eventarc[0].member
}

resource "google_eventarc_trigger" "bigquery" {
  # UpdateTable alone misses ALTER TABLE, which is logged under the query job that ran it.
  for_each = local.has_metadata && var.eventarc_audience != "" ? toset(["TableService.UpdateTable", "TableService.InsertTable", "TableService.DeleteTable", "JobService.InsertJob", "JobService.Query"]) : toset([])

  name            = "querycraft-${lower(replace(each.value, ".", "-"))}"
  location        = var.region
  service_account = google_service_account.eventarc[0].email

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.audit.log.v1.written"
  }
  matching_criteria {
    attribute = "serviceName"
    value     = "bigquery.googleapis.com"
  }
  matching_criteria {
    attribute = "methodName"
    value     = "google.cloud.bigquery.v2.${each.value}"
  }

  destination {
    cloud_run_service {
      service = google_cloud_run_v2_service.service["metadata"].name
      region  = var.region
      path    = "/events/bigquery"
    }
  }

  depends_on = [google_project_iam_member.eventarc_receiver]
}

resource "google_storage_bucket" "metadata_cache" {
  count = local.has_metadata ? 1 : 0

  name                        = var.metadata_cache_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
}

resource "google_storage_bucket_iam_member" "metadata_cache_writer" {
  count = local.has_metadata ? 1 : 0

  bucket = google_storage_bucket.metadata_cache[0].name
  role   = "roles/storage.objectUser"
  member = google_service_account.service["metadata"].member
}

# Problems are made from companies' own tables, and questions about them answered, as the cache describes them.
resource "google_storage_bucket_iam_member" "metadata_cache_reader" {
  for_each = local.has_metadata ? toset(["generator", "assistant"]) : toset([])

  bucket = google_storage_bucket.metadata_cache[0].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.service[each.key].member
}

# Profiles and samples need to read rows, not only to describe tables; grant it per data set where that is too much.
resource "google_project_iam_member" "metadata_reads_bigquery" {
  for_each = local.has_metadata ? toset(["roles/bigquery.dataViewer", "roles/bigquery.jobUser"]) : toset([])

  project = var.project_id
  role    = each.value
  member  = google_service_account.service["metadata"].member
}
