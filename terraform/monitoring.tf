# Names beginning with querycraft_ are those of services/kernel/metrics.py as Cloud Monitoring's Prometheus
# form spells them: dots become underscores, counters end in _total, seconds in _seconds.
resource "google_monitoring_notification_channel" "email" {
  display_name = "QueryCraft operators"
  type         = "email"
  labels       = { email_address = var.alert_email }
}

locals {
  alert_policies = {
    dead_letters = {
      title    = "Messages are being given up on"
      query    = "sum by (subscription) (increase(querycraft_dead_letters_total[10m])) > 0"
      duration = "0s"
      advice   = "List them with `python -m scripts.dead_letters list`, mend the cause, then replay them."
    }
    backstop = {
      title    = "Consumers die before they can bury a message"
      query    = "sum by (subscription_id) (increase(pubsub_googleapis_com:subscription_dead_letter_message_count{monitored_resource=\"pubsub_subscription\"}[10m])) > 0"
      duration = "0s"
      advice   = "Pub/Sub moved messages to a dead-letters.* topic: look for crashes or kills of the consumer in its log."
    }
    outbox = {
      title    = "Messages cannot be published"
      query    = "sum(increase(querycraft_outbox_failures_total[5m])) > 10"
      duration = "300s"
      advice   = "They wait in the outbox and nothing is lost. Look at the publisher's log for the refusal."
    }
    backlog = {
      title    = "A subscription falls behind"
      query    = "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource=\"pubsub_subscription\", subscription_id!~\"outside[.].*|dead-letters[.].*\"}) > 600"
      duration = "300s"
      advice   = "Raise max_instances of the consumer, or min_instances of its worker pool."
    }
    failing_jobs = {
      title    = "More than a tenth of the jobs fail"
      query    = "sum(rate(querycraft_jobs_ended_total{status=\"failed\"}[15m])) / sum(rate(querycraft_jobs_ended_total[15m])) > 0.1"
      duration = "600s"
      advice   = "Group the failures by error_code in the logs of the workers."
    }
    metadata = {
      title    = "No table's metadata can be refreshed"
      query    = "sum by (error_type) (increase(querycraft_metadata_runs_total{status=\"failed\"}[1h])) > 0"
      duration = "0s"
      advice   = "What is cached stays readable and grows old. The error type says why; the job or alert of type metadata_refresh_failed names the tables."
    }
    reaped = {
      title    = "Workers fall silent"
      query    = "sum(increase(querycraft_jobs_reaped_total[15m])) > 5"
      duration = "0s"
      advice   = "Their jobs were released again. Look for memory limits and kills of the worker pools."
    }
    http_errors = {
      title    = "A service answers with errors"
      query    = "sum by (service_name) (rate(run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\", service_name=~\"querycraft-.*\", response_code_class=\"5xx\"}[5m])) > 0.1"
      duration = "300s"
      advice   = "No client can cause a 5xx by what it sends, so each is a defect or an outage: see the service's log."
    }
  }
}

resource "google_monitoring_alert_policy" "policy" {
  for_each = local.alert_policies

  display_name = "QueryCraft: ${each.value.title}"
  combiner     = "OR"

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query               = each.value.query
      duration            = each.value.duration
      evaluation_interval = "60s"
    }
  }

  documentation {
    content   = each.value.advice
    mime_type = "text/markdown"
  }

  notification_channels = [google_monitoring_notification_channel.email.id]

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_dashboard" "dashboard" {
  for_each = fileset("${path.module}/dashboards", "*.json")

  dashboard_json = file("${path.module}/dashboards/${each.value}")
}
