# Cloud Scheduler can only publish a fixed message, whose ce-id every inbox would take for a duplicate from
# the second day on. So it starts a workflow, which publishes a proper CloudEvent to the schedule-due topic.
resource "google_service_account" "scheduler" {
  account_id   = "querycraft-scheduler"
  display_name = "QueryCraft: clock"
}

resource "google_workflows_workflow" "schedule_due" {
  name                = "querycraft-schedule-due"
  region              = var.region
  service_account     = google_service_account.scheduler.id
  source_contents     = file("${path.module}/workflows/schedule-due.yaml")
  deletion_protection = false

  depends_on = [google_project_service.needed]
}

resource "google_pubsub_topic_iam_member" "scheduler_publishes" {
  topic  = google_pubsub_topic.message["schedule-due.v1"].id
  role   = "roles/pubsub.publisher"
  member = google_service_account.scheduler.member
}

# Starting an execution needs this role; Workflows has no finer grant than the project.
resource "google_project_iam_member" "scheduler_starts_workflows" {
  project = var.project_id
  role    = "roles/workflows.invoker"
  member  = google_service_account.scheduler.member
}

resource "google_cloud_scheduler_job" "schedule" {
  for_each = var.schedules

  name             = each.key
  region           = var.region
  schedule         = each.value.cron
  time_zone        = each.value.time_zone
  attempt_deadline = "30s"

  retry_config {
    retry_count          = 5
    min_backoff_duration = "5s"
    max_backoff_duration = "60s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://workflowexecutions.googleapis.com/v1/${google_workflows_workflow.schedule_due.id}/executions"
    headers     = { "Content-Type" = "application/json" }
    body = base64encode(jsonencode({
      argument = jsonencode({
        schedule_name = each.key
        topic         = google_pubsub_topic.message["schedule-due.v1"].id
      })
    }))

    oauth_token {
      service_account_email = google_service_account.scheduler.email
    }
  }
}
