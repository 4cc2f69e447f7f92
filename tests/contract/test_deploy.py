"""The image and the compose file, as far as they can be checked without a container engine."""

import re
from typing import Any

import pytest
import yaml

from contracts.exports.catalog import REPOSITORY
from contracts.manifest import SUBSCRIPTIONS, TOPICS

DEPLOY = REPOSITORY / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
STAGES = re.split(r"(?m)^(?=FROM )", DOCKERFILE)[1:]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return content


def test_the_image_is_built_from_the_lock_and_runs_as_nobody_special() -> None:
    assert len(STAGES) == 2
    assert "uv sync --frozen --no-default-groups" in STAGES[0]
    user = re.findall(r"(?m)^USER (\S+)", STAGES[1])
    assert user
    assert int(user[-1]) > 0
    assert 'ENTRYPOINT ["python", "-m"]' in STAGES[1]
    assert not re.search(r"\buv\b|\bpip\b", STAGES[1]), "nothing is installed in the final stage"


def test_everything_copied_exists_and_reaches_the_build() -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [name for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", DOCKERFILE) for name in line.split()[:-1]]
    assert {"contracts", "services", "scripts", "uv.lock"} <= set(copied)
    for name in copied:
        assert (REPOSITORY / name).exists()
        assert f"!{name}" in ignore, f"{name} is ignored by the build"


def test_every_service_of_the_manifest_runs_after_provisioning(compose: dict[str, Any]) -> None:
    own = {name: service for name, service in compose["services"].items() if name not in _INFRASTRUCTURE}
    workers = {sub.consumer for sub in SUBSCRIPTIONS} | {producer for topic in TOPICS for producer in topic.producers}
    assert set(own) == workers - {"outside", "cloud-scheduler"}
    for name, service in own.items():
        assert service["command"] == [f"services.{name}.main"]
        assert service["depends_on"]["provision"]["condition"] == "service_completed_successfully"
        assert service["environment"]["QC_DATABASE_URL"] == f"postgresql://{name}@postgres/querycraft"
        assert service["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}


_INFRASTRUCTURE = {"postgres", "pubsub", "storage", "provision"}


def test_everything_depended_on_is_there_and_healthy_where_that_is_awaited(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert name in services
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in services[name]


def test_the_bucket_is_made_that_the_services_use(compose: dict[str, Any]) -> None:
    from services.generator.settings import GeneratorSettings

    bucket = GeneratorSettings.model_fields["dataset_bucket"].default
    assert f"--default-bucket={bucket}" in compose["services"]["storage"]["command"]


def test_mail_is_sent_when_a_server_is_named_and_not_otherwise(compose: dict[str, Any]) -> None:
    from services.notifier.settings import NotifierSettings

    given = {k: v for k, v in compose["services"]["notifier"]["environment"].items() if k.startswith("QC_SMTP_")}
    assert set(given) == {f"QC_{name.upper()}" for name in NotifierSettings.model_fields if name.startswith("smtp_")}

    def settings(**operator: str) -> NotifierSettings:
        fields = {
            name: re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: operator.get(m[1], m[2]), value)
            for name, value in given.items()
        }
        return NotifierSettings(
            database_url="postgresql://x", **{name.removeprefix("QC_").lower(): value for name, value in fields.items()}
        )

    assert settings().smtp_host == ""
    mailing = settings(QC_SMTP_HOST="mail", QC_SMTP_FROM="a@example.com", QC_SMTP_USER="a", QC_SMTP_PASSWORD="secret")
    assert (mailing.smtp_host, mailing.smtp_port, mailing.smtp_security) == ("mail", 587, "starttls")
    with pytest.raises(ValueError, match="QC_SMTP_FROM"):
        settings(QC_SMTP_HOST="mail")


def test_ports_are_open_to_this_machine_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_decision_is_dated_and_says_what_would_make_us_revisit_it() -> None:
    pages = sorted((DEPLOY / "decisions").glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.search(r"(?m)^Date: \d{4}-\d{2}-\d{2}$", text), page.name
        for heading in ("Context", "Options", "Choice", "What would make us revisit it"):
            assert f"## {heading}\n" in text, f"{page.name} lacks {heading}"
