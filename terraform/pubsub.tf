# Changing a definition registers a new revision of the same schema; the older ones stay valid for the topic.
resource "google_pubsub_schema" "message" {
  for_each = var.topics

  name       = each.key
  type       = "AVRO"
  definition = file("${path.module}/../${each.value.schema_file}")

  depends_on = [google_project_service.needed]
}

resource "google_pubsub_topic" "message" {
  for_each = var.topics

  name   = each.key
  labels = { owner = each.value.owner }

  schema_settings {
    schema   = google_pubsub_schema.message[each.key].id
    encoding = "JSON"
  }

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

resource "google_pubsub_subscription" "consumer" {
  for_each = var.subscriptions

  name   = each.key
  topic  = google_pubsub_topic.message[each.value.topic].id
  filter = each.value.filter == "" ? null : each.value.filter

  ack_deadline_seconds       = each.value.ack_deadline_seconds
  message_retention_duration = each.value.message_retention
  enable_message_ordering    = each.value.enable_message_ordering

  expiration_policy {
    ttl = "" # never: an idle service is not a deleted one
  }

  retry_policy {
    minimum_backoff = each.value.minimum_backoff
    maximum_backoff = each.value.maximum_backoff
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters[each.key].id
    max_delivery_attempts = each.value.max_delivery_attempts
  }

  dynamic "push_config" {
    for_each = contains(keys(local.push), each.value.consumer) ? [each.value.consumer] : []

    content {
      push_endpoint = "${google_cloud_run_v2_service.service[push_config.value].uri}/push/${each.key}"

      oidc_token {
        service_account_email = google_service_account.push.email
        audience              = local.push_audience[push_config.value]
      }
    }
  }
}

# The backstop behind each service's own dead letters: only what a consumer that dies could not bury gets here.
resource "google_pubsub_topic" "dead_letters" {
  for_each = var.subscriptions

  name   = each.value.dead_letter_topic
  labels = { owner = each.value.consumer }

  depends_on = [google_project_service.needed]
}

# A topic without a subscription forgets.
resource "google_pubsub_subscription" "dead_letters" {
  for_each = var.subscriptions

  name                       = each.value.dead_letter_topic
  topic                      = google_pubsub_topic.dead_letters[each.key].id
  message_retention_duration = each.value.message_retention

  expiration_policy {
    ttl = ""
  }
}
