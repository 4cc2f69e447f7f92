resource "google_cloud_run_v2_service" "service" {
  for_each = local.push

  name             = "querycraft-${each.key}"
  location         = var.region
  ingress          = "INGRESS_TRAFFIC_ALL"
  custom_audiences = [local.push_audience[each.key]]

  template {
    service_account                  = google_service_account.service[each.key].email
    timeout                          = each.value.public ? "3600s" : "600s" # streams to clients stay open; a push may take 10 minutes
    max_instance_request_concurrency = each.value.concurrency

    scaling {
      min_instance_count = each.value.min_instances
      max_instance_count = each.value.max_instances
    }

    containers {
      image = var.image
      args  = ["services.${each.key}.main"]

      ports {
        container_port = 8080
      }

      resources {
        limits = {
          cpu    = each.value.cpu
          memory = each.value.memory
        }
        # The outbox relay, the dispatcher and the reaper work between requests.
        cpu_idle          = false
        startup_cpu_boost = true
      }

      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30
        http_get {
          path = "/readyz"
        }
      }

      liveness_probe {
        period_seconds    = 15
        timeout_seconds   = 5
        failure_threshold = 4
        http_get {
          path = "/healthz"
        }
      }

      dynamic "env" {
        for_each = local.variables[each.key]
        content {
          name  = env.key
          value = env.value.value

          dynamic "value_source" {
            for_each = env.value.secret[*]
            content {
              secret_key_ref {
                secret  = google_secret_manager_secret.secret[value_source.value].secret_id
                version = "latest"
              }
            }
          }
        }
      }

      dynamic "volume_mounts" {
        for_each = google_sql_database_instance.main
        content {
          name       = "cloudsql"
          mount_path = "/cloudsql"
        }
      }
    }

    dynamic "volumes" {
      for_each = google_sql_database_instance.main
      content {
        name = "cloudsql"
        cloud_sql_instance {
          instances = [volumes.value.connection_name]
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.reader]
}
