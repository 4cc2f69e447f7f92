resource "google_cloud_run_v2_worker_pool" "worker" {
  for_each = local.pull

  name     = "querycraft-${each.key}"
  location = var.region

  scaling {
    # Worker pools do not scale by themselves: see the alert policy on the age of the oldest waiting job.
    manual_instance_count = each.value.min_instances
  }

  template {
    service_account = google_service_account.service[each.key].email

    containers {
      image = var.image
      args  = ["services.${each.key}.main"]

      resources {
        limits = {
          cpu    = each.value.cpu
          memory = each.value.memory
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
