resource "google_sql_database_instance" "main" {
  count = var.cloud_sql == null ? 0 : 1

  name                = "querycraft"
  region              = var.region
  database_version    = var.cloud_sql.database_version
  deletion_protection = true

  settings {
    tier                        = var.cloud_sql.tier
    edition                     = var.cloud_sql.edition
    availability_type           = var.cloud_sql.high_available ? "REGIONAL" : "ZONAL"
    deletion_protection_enabled = true
    # Only through the authorised connector, which Cloud Run mounts under /cloudsql; no network is let in.
    connector_enforcement = "REQUIRED"

    ip_configuration {
      ipv4_enabled = true
      ssl_mode     = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
    }

    insights_config {
      query_insights_enabled = true
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_sql_database" "main" {
  count = var.cloud_sql == null ? 0 : 1

  name     = "querycraft"
  instance = google_sql_database_instance.main[0].name
}
