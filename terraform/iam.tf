locals {
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_service_account" "service" {
  for_each = local.accounts

  account_id   = "querycraft-${each.value}"
  display_name = "QueryCraft ${each.value}"
}

resource "google_service_account" "push" {
  account_id   = "querycraft-push"
  display_name = "QueryCraft: identity of Pub/Sub pushes"
}

resource "google_service_account_iam_member" "pubsub_signs_pushes" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}

# Each service publishes to the topics the manifest says, and to no others.
resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.publishers

  topic  = google_pubsub_topic.message[each.value.topic].id
  role   = "roles/pubsub.publisher"
  member = google_service_account.service[each.value.service].member
}

# Services look at start whether their topics and subscriptions exist.
resource "google_pubsub_topic_iam_member" "viewer" {
  for_each = local.publishers

  topic  = google_pubsub_topic.message[each.value.topic].id
  role   = "roles/pubsub.viewer"
  member = google_service_account.service[each.value.service].member
}

resource "google_pubsub_subscription_iam_member" "viewer" {
  for_each = local.own_subscriptions

  subscription = google_pubsub_subscription.consumer[each.key].id
  role         = "roles/pubsub.viewer"
  member       = google_service_account.service[each.value.consumer].member
}

resource "google_pubsub_subscription_iam_member" "puller" {
  for_each = { for name, sub in local.own_subscriptions : name => sub if contains(keys(local.pull), sub.consumer) }

  subscription = google_pubsub_subscription.consumer[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.service[each.value.consumer].member
}

resource "google_pubsub_subscription_iam_member" "outside" {
  for_each = local.outside_grants

  subscription = google_pubsub_subscription.consumer[each.value.subscription].id
  role         = "roles/pubsub.subscriber"
  member       = each.value.member
}

# Pub/Sub itself moves messages to the dead letter topics.
resource "google_pubsub_topic_iam_member" "dead_letter_publisher" {
  for_each = var.subscriptions

  topic  = google_pubsub_topic.dead_letters[each.key].id
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead_letter_forwarder" {
  for_each = var.subscriptions

  subscription = google_pubsub_subscription.consumer[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.secret_readers

  secret_id = google_secret_manager_secret.secret[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.service[each.value.account].member
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = local.push

  name     = google_cloud_run_v2_service.service[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_cloud_run_v2_service_iam_member" "public" {
  for_each = { for name, service in local.push : name => service if service.public }

  name     = google_cloud_run_v2_service.service[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_project_iam_member" "cloud_sql_client" {
  for_each = var.cloud_sql == null ? toset([]) : local.accounts

  project = var.project_id
  role    = "roles/cloudsql.client"
  member  = google_service_account.service[each.value].member
}

# It may run queries and read nothing: learners' statements bring their own rows.
resource "google_project_iam_member" "grader_runs_queries" {
  count = contains(local.names, "grader") ? 1 : 0

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.service["grader"].member
}
