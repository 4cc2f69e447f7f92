# Pure functions of the variables: no resource is named here, so these can be evaluated without a provider.
locals {
  names = toset(keys(var.services))
  push  = { for name, service in var.services : name => service if service.delivery == "push" }
  long  = { for name, service in var.services : name => service if service.long_jobs }
  pull  = { for name, service in var.services : name => service if service.delivery == "pull" }

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
  secrets          = toset(concat(values(local.database_secrets), ["querycraft-admin-database-url"], values(local.extra_secrets)[*].secret))
  extra_secrets = {
    for pair in flatten([
      for name, service in var.services : [
        for variable, secret in service.secrets : { service = name, variable = variable, secret = secret }
      ]
    ]) : "${pair.service}/${pair.variable}" => pair
  }
  secret_readers = merge(
    { for name, secret in local.database_secrets : "${name}/${secret}" => { service = name, secret = secret } },
    { for pair in values(local.extra_secrets) : "${pair.service}/${pair.secret}" => { service = pair.service, secret = pair.secret } },
  )

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
      name == "metadata" ? {
        GCS_BUCKET                  = var.metadata_cache_bucket
        QC_METADATA_TARGETS         = join(",", var.metadata_targets)
        QC_EVENTARC_AUDIENCE        = var.eventarc_audience
        QC_EVENTARC_SERVICE_ACCOUNT = "querycraft-eventarc@${var.project_id}.iam.gserviceaccount.com"
      } : {},
      service.environment,
    )
  }

  push_service_account = "querycraft-push@${var.project_id}.iam.gserviceaccount.com"

  has_metadata = contains(local.names, "metadata")
}
