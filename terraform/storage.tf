resource "google_storage_bucket" "datasets" {
  name                        = var.dataset_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  lifecycle_rule {
    condition {
      age = 90
    }
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
  }
}

resource "google_storage_bucket_iam_member" "datasets_writer" {
  bucket = google_storage_bucket.datasets.name
  role   = "roles/storage.objectUser"
  member = google_service_account.service["generator"].member
}

resource "google_storage_bucket_iam_member" "datasets_reader" {
  bucket = google_storage_bucket.datasets.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.service["grader"].member
}

# Base data sets, which analyses and optimizations run on.
resource "google_storage_bucket_iam_member" "assistant_reader" {
  bucket = google_storage_bucket.datasets.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.service["assistant"].member
}

# Model artefacts, reports, and histories to import.
resource "google_storage_bucket_iam_member" "insights_writer" {
  bucket = google_storage_bucket.datasets.name
  role   = "roles/storage.objectUser"
  member = google_service_account.service["insights"].member
}
