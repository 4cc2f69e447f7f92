output "urls" {
  description = "Where each service answers."
  value       = { for name, service in google_cloud_run_v2_service.service : name => service.uri }
}

output "secrets_to_fill" {
  description = "Secrets that need a version before the services can start."
  value       = sort(local.secrets)
}

output "push_service_account" {
  description = "The only identity whose pushes the services accept."
  value       = google_service_account.push.email
}
