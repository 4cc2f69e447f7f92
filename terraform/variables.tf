variable "project_id" {
  type        = string
  description = "The project everything lives in."
}

variable "region" {
  type    = string
  default = "asia-northeast3"
}

variable "image" {
  type        = string
  description = "The one container image, by digest: region-docker.pkg.dev/project/repository/querycraft@sha256:..."
}

# Written by `python -m scripts.contracts export` into manifest.auto.tfvars.json.
variable "topics" {
  description = "Every topic by name, with the file that holds its current Avro schema, from the repository's root."
  type = map(object({
    owner       = string
    producers   = list(string)
    schema_file = string
  }))
}

# Written by `python -m scripts.contracts export` into manifest.auto.tfvars.json.
variable "subscriptions" {
  description = "Every subscription by name. Pub/Sub cannot change a filter or the ordering: Terraform replaces the subscription, so drain it first."
  type = map(object({
    topic                   = string
    consumer                = string
    filter                  = string
    ack_deadline_seconds    = number
    dead_letter_topic       = string
    max_delivery_attempts   = number
    minimum_backoff         = string
    maximum_backoff         = string
    message_retention       = string
    enable_message_ordering = bool
  }))
}

variable "services" {
  description = <<-EOT
    The services to run. `delivery`: "push" makes a Cloud Run service that Pub/Sub calls, "pull" a
    worker pool that fetches. `public`: anybody may open a connection; the service checks the bearer
    token itself. `long_jobs`: work past a push's ten minutes runs as a Cloud Run job of its own.
    `secrets`: environment variable => secret id.
  EOT
  type = map(object({
    delivery      = string
    public        = optional(bool, false)
    long_jobs     = optional(bool, false)
    cpu           = optional(string, "1")
    memory        = optional(string, "512Mi")
    min_instances = optional(number, 1)
    max_instances = optional(number, 10)
    concurrency   = optional(number, 80)
    environment   = optional(map(string), {})
    secrets       = optional(map(string), {})
  }))
  default = {
    intake = {
      delivery    = "push"
      public      = true
      concurrency = 200
      # Cloud Scheduler publishes schedule-due here; two clocks would only cost messages, not jobs.
      environment = { QC_RUN_CLOCK = "false" }
    }
    notifier = {
      delivery    = "push"
      public      = true
      concurrency = 1000
    }
    generator = {
      delivery  = "pull"
      long_jobs = true
      cpu       = "2"
      memory    = "2Gi"
      secrets   = { GEMINI_API_KEY = "querycraft-gemini-api-key" }
    }
    grader = {
      delivery    = "pull"
      cpu         = "2"
      memory      = "4Gi"
      environment = { QC_GOOGLESQL_ENGINE = "bigquery" }
      secrets     = { GEMINI_API_KEY = "querycraft-gemini-api-key" }
    }
    metadata = {
      delivery  = "push"
      public    = true
      long_jobs = true
      cpu       = "1"
      memory    = "1Gi"
      secrets   = { GEMINI_API_KEY = "querycraft-gemini-api-key" }
    }
    insights = {
      delivery = "push"
      public   = true
      cpu      = "2"
      memory   = "2Gi"
    }
    assistant = {
      delivery = "pull"
      public   = true
      cpu      = "2"
      memory   = "2Gi"
      secrets  = { GEMINI_API_KEY = "querycraft-gemini-api-key" }
    }
  }

  validation {
    condition     = alltrue([for service in values(var.services) : contains(["push", "pull"], service.delivery)])
    error_message = "delivery is \"push\" or \"pull\"."
  }
}

variable "identity" {
  description = "Who signs the bearer tokens: an issuer that publishes its keys."
  type = object({
    jwks_url  = string
    issuer    = string
    audience  = string
    algorithm = optional(string, "RS256")
  })
}

variable "smtp" {
  description = <<-EOT
    The server that takes the notifier's mails; null sends none. `security`: "starttls", "tls" or, for a relay that
    needs no password, "none". With a `user` its password goes into the secret querycraft-smtp-password.
  EOT
  type = object({
    host     = string
    from     = string
    port     = optional(number, 587)
    security = optional(string, "starttls")
    user     = optional(string, "")
  })
  default = null
}

variable "otlp_endpoint" {
  type        = string
  default     = ""
  description = "OTLP over HTTP; empty records no traces."
}

variable "cloud_sql" {
  description = "A Cloud SQL instance to make; null when Postgres is elsewhere. The URLs are in Secret Manager either way."
  type = object({
    tier             = optional(string, "db-custom-2-7680")
    edition          = optional(string, "ENTERPRISE")
    database_version = optional(string, "POSTGRES_17")
    high_available   = optional(bool, true)
  })
  default = null
}

variable "dataset_bucket" {
  type        = string
  description = "Globally unique name of the bucket that holds base data sets."
}

variable "metadata_cache_bucket" {
  type    = string
  default = "nlq-metadata-cache"
}

variable "metadata_targets" {
  type        = list(string)
  default     = ["nlq-ex.test_dataset.events_20210131"]
  description = "Data sets (project.dataset) and tables (project.dataset.table) whose metadata is kept fresh."
}

variable "eventarc_audience" {
  type        = string
  default     = ""
  description = "Address of the metadata service, which Eventarc's tokens are for: known after the first apply (output urls). Empty: no Eventarc triggers, the log sink alone tells of changes."
}

variable "schedules" {
  description = "Cron lines in their own time zone; each publishes schedule-due under its name. Names are those of intake's cron table."
  type = map(object({
    cron      = string
    time_zone = string
  }))
  default = {
    "daily-problems-pa"     = { cron = "0 1 * * *", time_zone = "Asia/Seoul" }
    "daily-problems-stream" = { cron = "0 1 * * *", time_zone = "Asia/Seoul" }
    "metadata-refresh"      = { cron = "0 17 * * *", time_zone = "Etc/UTC" }
  }
}

variable "outside_readers" {
  type        = list(string)
  default     = []
  description = "IAM members that may read the `outside` subscriptions, e.g. serviceAccount:reader@project.iam.gserviceaccount.com."
}

variable "alert_email" {
  type        = string
  description = "Where Cloud Monitoring writes to when an alert policy opens."
}
