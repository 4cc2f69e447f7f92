# Only the secrets themselves: their values never pass through Terraform or its state. Fill each one with
#   gcloud secrets versions add <secret> --data-file=-
resource "google_secret_manager_secret" "secret" {
  for_each = local.secrets

  secret_id = each.value

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.needed]
}
