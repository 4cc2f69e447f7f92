# Pure functions of the variables: no resource is named here, so these can be evaluated without a provider.
locals {
  names = toset(keys(var.services))
  # Whoever runs a container: every service, and the job that migrates their schemas.
  accounts = setunion(local.names, ["migrate"])

  push = { for name, service in var.services : name => service if service.delivery == "push" }
  long = { for name, service in var.services : name => service if service.long_jobs }
  pull = { for name, service in var.services : name => service if service.delivery == "pull" }

  # A service's own audience, so that a token meant for one is worth nothing at another.
  push_audience = { for name in keys(local.push) : name => "querycraft-push-${name}" }

  publishers = {
    for pair in flatten([
      for topic, declared in var.topics : [for producer in declared.producers : { topic = topic, service = producer }]
    ]) : "${pair.service}/${pair.topic}" => pair if contains(local.names, pair.service)
  }

  own_subscriptions     = { for name, sub in var.subscriptions : name => sub if contains(local.names, sub.consumer) }
  outside_subscriptions = { for name, sub in var.subscriptions : name => sub if sub.consumer == "outside" }

  outside_grants = {
    for pair in setproduct(keys(local.outside_subscriptions), var.outside_readers) :
    "${pair[0]}/${pair[1]}" => { subscription = pair[0], member = pair[1] }
  }

  database_secrets = { for name in local.names : name => "querycraft-${name}-database-url" }
  # Environment variable => secret id, by container.
  container_secrets = merge(
    {
      for name, service in var.services : name => merge(
        { QC_DATABASE_URL = local.database_secrets[name] },
        name == "notifier" && try(var.smtp.user, "") != "" ? { QC_SMTP_PASSWORD = "querycraft-smtp-password" } : {},
        service.secrets,
      )
    },
    { migrate = { QC_ADMIN_DATABASE_URL = "querycraft-admin-database-url" } },
  )
  secret_readers = {
    for pair in flatten([
      for name, secrets in local.container_secrets : [for secret in values(secrets) : { account = name, secret = secret }]
    ]) : "${pair.account}/${pair.secret}" => pair
  }
  secrets = toset(values(local.secret_readers)[*].secret)

  environment = {
    for name, service in var.services : name => merge(
      {
        GOOGLE_CLOUD_PROJECT    = var.project_id
        GOOGLE_CLOUD_REGION     = var.region
        QC_BROKER               = "pubsub"
        QC_DELIVERY             = service.delivery
        QC_DATASET_BUCKET       = var.dataset_bucket
        QC_HTTP_HOST            = "0.0.0.0"
        QC_HTTP_PORT            = "8080"
        QC_IDENTITY_JWKS_URL    = var.identity.jwks_url
        QC_IDENTITY_ALGORITHM   = var.identity.algorithm
        QC_IDENTITY_ISSUER      = var.identity.issuer
        QC_IDENTITY_AUDIENCE    = var.identity.audience
        QC_TELEMETRY_EXPORTER   = var.otlp_endpoint == "" ? "none" : "otlp"
        QC_OTLP_ENDPOINT        = var.otlp_endpoint
        QC_PUSH_AUDIENCE        = lookup(local.push_audience, name, "")
        QC_PUSH_SERVICE_ACCOUNT = local.push_service_account
      },
      service.long_jobs ? { QC_LAUNCHER = "cloud_run" } : {},
      # Who writes the metadata cache, and who reads it.
      contains(["metadata", "generator", "assistant"], name) ? { GCS_BUCKET = var.metadata_cache_bucket } : {},
      name == "metadata" ? {
        QC_METADATA_TARGETS         = join(",", var.metadata_targets)
        QC_EVENTARC_AUDIENCE        = var.eventarc_audience
        QC_EVENTARC_SERVICE_ACCOUNT = "querycraft-eventarc@${var.project_id}.iam.gserviceaccount.com"
      } : {},
      name == "notifier" && var.smtp != null ? {
        QC_SMTP_HOST     = var.smtp.host
        QC_SMTP_PORT     = tostring(var.smtp.port)
        QC_SMTP_SECURITY = var.smtp.security
        QC_SMTP_USER     = var.smtp.user
        QC_SMTP_FROM     = var.smtp.from
      } : {},
      service.environment,
    )
  }

  # What a container gets: each variable has a value, or the secret that holds it.
  variables = {
    for name, secrets in local.container_secrets : name => merge(
      { for variable, value in lookup(local.environment, name, {}) : variable => { value = value, secret = null } },
      { for variable, secret in secrets : variable => { value = null, secret = secret } },
    )
  }

  jobs = merge(
    # Run before each deployment: gcloud run jobs execute querycraft-migrate --wait
    {
      migrate = {
        command = ["python", "-m", "scripts.provision"]
        args    = ["--broker", "none"]
        timeout = "1800s"
        retries = 1
        cpu     = "1"
        memory  = "512Mi"
      }
    },
    # Jobs longer than a push may take: the service starts one execution for each, with the job's id as argument.
    {
      for name, service in local.long : name => {
        command = ["python", "-m", "services.${name}.main"]
        args    = []
        timeout = "25200s" # an hour beyond QC_LONG_TIME_LIMIT_SECONDS, which ends it properly
        retries = 0        # intake notices the silence and releases the job anew, with a new fence
        cpu     = service.cpu
        memory  = service.memory
      }
    },
  )

  push_service_account = "querycraft-push@${var.project_id}.iam.gserviceaccount.com"

  has_metadata = contains(local.names, "metadata")
}
