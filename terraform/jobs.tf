resource "google_service_account" "migrate" {
  account_id   = "querycraft-migrate"
  display_name = "QueryCraft: migrations"
}

resource "google_secret_manager_secret_iam_member" "migrate" {
  secret_id = google_secret_manager_secret.secret["querycraft-admin-database-url"].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.migrate.member
}

resource "google_project_iam_member" "migrate_cloud_sql_client" {
  count = var.cloud_sql == null ? 0 : 1

  project = var.project_id
  role    = "roles/cloudsql.client"
  member  = google_service_account.migrate.member
}

# Run before each deployment: gcloud run jobs execute querycraft-migrate --wait
resource "google_cloud_run_v2_job" "migrate" {
  name     = "querycraft-migrate"
  location = var.region

  template {
    template {
      service_account = google_service_account.migrate.email
      timeout         = "1800s"
      max_retries     = 1

      containers {
        image   = var.image
        command = ["python", "-m", "scripts.provision"]
        args    = ["--broker", "none"]

        env {
          name = "QC_ADMIN_DATABASE_URL"
          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.secret["querycraft-admin-database-url"].secret_id
              version = "latest"
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

  depends_on = [google_secret_manager_secret_iam_member.migrate]
}

# Jobs longer than a push may take: the service starts one execution for each, with the job's id as argument.
resource "google_cloud_run_v2_job" "long" {
  for_each = local.long

  name     = "querycraft-${each.key}"
  location = var.region

  template {
    template {
      service_account = google_service_account.service[each.key].email
      timeout         = "25200s" # an hour beyond QC_LONG_TIME_LIMIT_SECONDS, which ends it properly
      max_retries     = 0        # intake notices the silence and releases the job anew, with a new fence

      containers {
        image   = var.image
        command = ["python", "-m", "services.${each.key}.main"]

        resources {
          limits = {
            cpu    = each.value.cpu
            memory = each.value.memory
          }
        }

        dynamic "env" {
          for_each = local.environment[each.key]
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = merge({ QC_DATABASE_URL = local.database_secrets[each.key] }, each.value.secrets)
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret.secret[env.value].secret_id
                version = "latest"
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

  name     = google_cloud_run_v2_job.long[each.key].name
  location = var.region
  role     = "roles/run.jobsExecutorWithOverrides"
  member   = google_service_account.service[each.key].member
}
