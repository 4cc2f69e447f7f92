resource "google_cloud_run_v2_job" "job" {
  for_each = local.jobs

  name     = "querycraft-${each.key}"
  location = var.region

  template {
    template {
      service_account = google_service_account.service[each.key].email
      timeout         = each.value.timeout
      max_retries     = each.value.retries

      containers {
        image   = var.image
        command = each.value.command
        args    = each.value.args

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
  }

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

resource "google_cloud_run_v2_job_iam_member" "long" {
  for_each = local.long

  name     = google_cloud_run_v2_job.job[each.key].name
  location = var.region
  role     = "roles/run.jobsExecutorWithOverrides"
  member   = google_service_account.service[each.key].member
}
