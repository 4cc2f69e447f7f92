"""What can be known about the Terraform files without the cloud or its provider plugin.

Not covered here: whether the provider accepts each argument (``terraform validate`` needs the
plugin) and whether the project's quotas and APIs allow the plan.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from opentelemetry.metrics import Counter, Histogram

from contracts.exports.asyncapi import asyncapi
from contracts.exports.catalog import REPOSITORY, declared
from contracts.jobs import ScheduleDue
from contracts.manifest import SUBSCRIPTIONS, TOPICS
from services.kernel import metrics
from services.kernel.settings import ServiceSettings

DIRECTORY = REPOSITORY / "terraform"
FILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DIRECTORY.glob("*.tf"))}
SOURCE = "\n".join(FILES.values())
TERRAFORM = shutil.which("terraform")
needs_terraform = pytest.mark.skipif(TERRAFORM is None, reason="needs the terraform binary (no provider, no cloud)")


def _blocks(kind: str) -> list[dict[str, Any]]:
    return [block for text in FILES.values() for block in hcl2.loads(text).get(kind, [])]


def _unquoted(name: str) -> str:
    return name.strip('"')


def _resources() -> set[tuple[str, str]]:
    return {
        (_unquoted(kind), _unquoted(name))
        for block in _blocks("resource")
        for kind, named in block.items()
        for name in named
    }


def _locals() -> set[str]:
    return {name for block in _blocks("locals") for name in block if not name.startswith("__")}


def _variables() -> set[str]:
    return {_unquoted(name) for block in _blocks("variable") for name in block}


def test_every_file_parses_and_every_name_is_declared_once() -> None:
    declared_names = [
        (_unquoted(kind), _unquoted(name))
        for block in _blocks("resource")
        for kind, named in block.items()
        for name in named
    ]
    assert len(declared_names) == len(set(declared_names))
    assert ("google_pubsub_subscription", "consumer") in declared_names


def test_every_reference_leads_to_a_declaration() -> None:
    code = re.sub(r"(?m)^\s*#.*$", "", SOURCE)
    assert set(re.findall(r"\bvar\.(\w+)", code)) == _variables(), "undeclared or unused variables"
    assert set(re.findall(r"\blocal\.(\w+)", code)) == _locals(), "undeclared or unused locals"
    assert set(re.findall(r"(?<![\w.\"])(google_\w+)\.(\w+)", code)) <= _resources() | {("google_project", "this")}


def test_every_file_it_reads_is_there() -> None:
    read = re.findall(r'file\("\$\{path\.module\}/([^"$]+)"\)', SOURCE)
    assert read
    assert all((DIRECTORY / name).is_file() for name in read)


@needs_terraform
def test_it_is_formatted() -> None:
    assert _terraform(["fmt", "-check", "-recursive"], DIRECTORY).stdout == ""


@needs_terraform
def test_rights_and_subscriptions_come_from_the_manifest(tmp_path: Path) -> None:
    values = _evaluate(tmp_path, ["publishers", "own_subscriptions", "outside_grants", "secrets", "push_audience"])
    deployed = {"intake", "generator", "grader", "insights", "metadata", "assistant", "notifier"}
    assert set(values["publishers"]) == {
        f"{producer}/{topic.name}" for topic in TOPICS for producer in topic.producers if producer in deployed
    }
    assert set(values["own_subscriptions"]) == {sub.name for sub in SUBSCRIPTIONS if sub.consumer in deployed}
    assert {grant["subscription"] for grant in values["outside_grants"].values()} == {
        sub.name for sub in SUBSCRIPTIONS if sub.consumer == "outside"
    }
    assert {f"querycraft-{service}-database-url" for service in deployed} <= set(values["secrets"])
    assert len(set(values["push_audience"].values())) == len(values["push_audience"])


@needs_terraform
def test_services_get_only_settings_that_exist(tmp_path: Path) -> None:
    from services.generator.settings import GeneratorSettings
    from services.grader.settings import GraderSettings
    from services.intake.settings import IntakeSettings
    from services.metadata.settings import MetadataSettings
    from services.notifier.settings import NotifierSettings

    environment = _evaluate(tmp_path, ["environment"])["environment"]
    kinds = (IntakeSettings, GeneratorSettings, GraderSettings, MetadataSettings, NotifierSettings)
    known = {name for kind in kinds for name in _environment_names(kind)}
    known |= {"GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_REGION", "GCS_BUCKET"}
    given = {name for variables in environment.values() for name in variables}
    assert given <= known, f"no service reads {sorted(given - known)}"
    IntakeSettings(**_as_environment(IntakeSettings, environment["intake"]), database_url="postgresql://x")
    notifier = _as_environment(NotifierSettings, environment["notifier"])
    mailing = NotifierSettings(**notifier, database_url="postgresql://x", smtp_password="x")
    assert (mailing.smtp_host, mailing.smtp_port, mailing.smtp_security) == ("smtp.example.com", 587, "starttls")


@needs_terraform
def test_every_container_gets_its_secrets_and_may_read_them_and_no_others(tmp_path: Path) -> None:
    values = _evaluate(tmp_path, ["variables", "secret_readers", "jobs", "accounts"])
    for account, variables in values["variables"].items():
        secrets = {name: one["secret"] for name, one in variables.items() if one["secret"] is not None}
        assert all((one["value"] is None) != (one["secret"] is None) for one in variables.values())
        readable = {pair["secret"] for pair in values["secret_readers"].values() if pair["account"] == account}
        assert set(secrets.values()) == readable, account
    assert values["variables"]["notifier"]["QC_SMTP_PASSWORD"]["secret"] == "querycraft-smtp-password"
    assert values["variables"]["migrate"] == {
        "QC_ADMIN_DATABASE_URL": {"value": None, "secret": "querycraft-admin-database-url"}
    }
    assert set(values["jobs"]) == {"migrate", "generator", "metadata"}
    assert set(values["jobs"]) <= set(values["accounts"]) == set(values["variables"])
    assert values["jobs"]["metadata"]["command"][-1] == "services.metadata.main"


def _environment_names(settings: type[ServiceSettings]) -> set[str]:
    return {f"QC_{name.upper()}" for name in settings.model_fields}


def _as_environment(settings: type[ServiceSettings], variables: Mapping[str, str]) -> dict[str, Any]:
    fields = {f"QC_{name.upper()}": name for name in settings.model_fields}
    return {fields[name]: value for name, value in variables.items() if name in fields}


def _evaluate(directory: Path, names: list[str]) -> dict[str, Any]:
    """Values of locals, computed by Terraform itself from the declared manifest."""
    for name in ("locals.tf", "variables.tf", "manifest.auto.tfvars.json"):
        shutil.copyfile(DIRECTORY / name, directory / name)
    variables = {
        "project_id": "example",
        "image": "example",
        "dataset_bucket": "example",
        "alert_email": "operators@example.com",
        "identity": {"jwks_url": "https://example.com/jwks", "issuer": "example", "audience": "example"},
        "smtp": {"host": "smtp.example.com", "from": "alerts@example.com", "user": "alerts"},
        "outside_readers": ["serviceAccount:reader@example.iam.gserviceaccount.com"],
    }
    (directory / "example.auto.tfvars.json").write_text(json.dumps(variables), encoding="utf-8")
    expression = "jsonencode({" + ", ".join(f"{name} = local.{name}" for name in names) + "})\n"
    printed = _terraform(["console"], directory, expression).stdout
    values: dict[str, Any] = json.loads(json.loads(printed))
    return values


def _terraform(arguments: list[str], directory: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    assert TERRAFORM is not None
    environment = {"PATH": str(Path(TERRAFORM).parent), "CHECKPOINT_DISABLE": "1", "HOME": str(directory)}
    done = subprocess.run(
        [TERRAFORM, *arguments],
        cwd=directory,
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _prometheus_names() -> set[str]:
    """The platform's metrics as Cloud Monitoring spells them for PromQL.

    Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
    """
    names = set()
    for instrument in vars(metrics).values():
        base = str(getattr(instrument, "name", getattr(instrument, "_name", ""))).replace(".", "_")
        if isinstance(instrument, Counter):
            names.add(f"{base}_total")
        elif isinstance(instrument, Histogram):
            names |= {f"{base}_seconds_{part}" for part in ("bucket", "sum", "count")}
    return names


def test_alerts_and_dashboards_watch_metrics_that_exist() -> None:
    dashboards = {path.stem: path.read_text(encoding="utf-8") for path in (DIRECTORY / "dashboards").glob("*.json")}
    for dashboard in dashboards.values():
        json.loads(dashboard)
    watched = _watched(re.sub(r"(?m)^#.*$", "", FILES["monitoring.tf"]) + "".join(dashboards.values()))
    assert "querycraft_dead_letters_total" in watched
    assert watched <= _prometheus_names()
    promised = {name for name in _prometheus_names() if name.startswith("querycraft_metadata_")}
    assert {name for name in promised if name.endswith(("_total", "_bucket"))} == _watched(dashboards["metadata"])


def _watched(text: str) -> set[str]:
    return set(re.findall(r"\bquerycraft_\w+", text))


def test_the_clock_publishes_a_schedule_due_message() -> None:
    workflow = yaml.safe_load((DIRECTORY / "workflows/schedule-due.yaml").read_text(encoding="utf-8"))
    steps = {name: step for entry in workflow["main"]["steps"] for name, step in entry.items()}
    (message,) = steps["publish"]["args"]["body"]["messages"]
    headers = asyncapi(declared())["components"]["messages"][ScheduleDue.topic()]["headers"]
    assert set(message["attributes"]) == set(headers["required"])
    assert message["attributes"]["ce-type"] == ScheduleDue.event_type()
    assigned = {name: value for entry in steps["due"]["assign"] for name, value in entry.items()}
    assert set(assigned["event"]) == set(ScheduleDue.model_fields)
    producers = {producer for topic in TOPICS if topic.message is ScheduleDue for producer in topic.producers}
    assert message["attributes"]["ce-source"].removeprefix("/querycraft/") in producers
    assert ScheduleDue.topic() in FILES["scheduler.tf"]


def test_cloud_scheduler_has_the_lines_of_the_cron_table() -> None:
    seeded: set[tuple[str, str, str]] = set()
    for migration in (REPOSITORY / "services/intake/migrations").glob("*.py"):
        _, found, insert = migration.read_text(encoding="utf-8").partition("INSERT INTO schedules")
        seeded |= set(re.findall(r"\('([\w-]+)', '([^']+)', '([^']+)'", insert if found else ""))
    (schedules,) = (block['"schedules"'] for block in _blocks("variable") if '"schedules"' in block)
    declared_lines = {
        (_unquoted(name), _unquoted(line["cron"]), _unquoted(line["time_zone"]))
        for name, line in schedules["default"].items()
        if not name.startswith("__")
    }
    assert declared_lines == seeded
