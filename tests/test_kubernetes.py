"""The Kubernetes manifests: built by kustomize, held against the API's schemas and against rules of our own."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pointsman.cli.serving import STOP_SECONDS
from pointsman.router.workspace.keys import ADMISSION
from pointsman.services.api.probes import Meters, create_probes
from pointsman.services.readiness import Readiness
from pointsman.services.runtime import ROLES
from pointsman.services.settings import Settings
from pointsman.services.telemetry import Telemetry

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"
OVERLAYS = sorted(p.name for p in (FOLDER / "overlays").iterdir())
SCHEMAS = ("1.30", "1.34")
CUSTOM = {"HTTPRoute", "ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PrometheusRule"}
SETTINGS = {f"POINTSMAN_{name.upper()}" for name in Settings.model_fields}
Json = dict[str, Any]


@cache
def built(overlay: str) -> tuple[Json, ...]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed, so nothing builds the overlays")
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of(overlay: str, *kinds: str) -> list[Json]:
    return [one for one in built(overlay) if one["kind"] in kinds]


def pods(overlay: str) -> Iterator[tuple[str, Json, Json]]:
    """(name, labels, spec) of what starts pods."""
    for one in of(overlay, "Deployment", "StatefulSet"):
        template = one["spec"]["template"]
        yield one["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def selects(selector: Json, labels: Json) -> bool:
    for rule in selector.get("matchExpressions", ()):
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda p: p.name)
def test_every_file_is_read_and_is_part_of_a_kustomization(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert all(one["apiVersion"] and one["kind"] for one in documents)
    if path.name != "kustomization.yaml":
        whole = yaml.safe_load((path.parent / "kustomization.yaml").read_text())
        assert path.name in whole["resources"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_has_the_shape_that_the_api_knows(overlay: str) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in built(overlay)]
    assert len(names) == len(set(names)), "something is there twice"
    for one in built(overlay):
        if one["kind"] not in CUSTOM:
            for version in SCHEMAS:
                kubernetes_validate.validate(one, version, strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "pointsman"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_limited_unprivileged_and_probed(overlay: str) -> None:
    for name, labels, spec in pods(overlay):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys() & resources["limits"].keys()
            assert re.search(r":v?\d+\.\d+\.\d+", container["image"]), container["image"]
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
            volumes = {volume["name"] for volume in spec.get("volumes", ())}
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            assert mounts - volumes <= {"data"}, "a mount without its volume"
        assert labels["app.kubernetes.io/name"] == name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_roles_start_as_they_should_and_have_time_to_stop(overlay: str) -> None:
    routes = {route.path for route in create_probes(Readiness(frozenset())).routes}  # type: ignore[attr-defined]
    [settings] = [o for o in of(overlay, "ConfigMap") if o["metadata"]["name"] == "pointsman"]
    assert all(k in SETTINGS for k in settings["data"] if k.startswith("POINTSMAN_"))
    grace = int(settings["data"]["POINTSMAN_GRACE"])
    generated = {o["metadata"]["name"] for o in of(overlay, "Secret")}
    started = set()
    for name, _, spec in pods(overlay):
        [container] = spec["containers"]
        if name == "redis":
            continue
        [role] = container["args"]
        assert role in ROLES
        started.add(role)
        stop = (container.get("lifecycle") or {}).get("preStop")
        before = int(stop["exec"]["command"][1]) if stop else 0
        assert spec["terminationGracePeriodSeconds"] > before + grace + STOP_SECONDS
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[probe]["httpGet"]
            assert asked["path"] in routes
            assert asked["port"] in {port["name"] for port in container["ports"]}
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez", (
            "a Redis that is away must not restart everything"
        )
        [secret] = [e["secretRef"]["name"] for e in container["envFrom"] if "secretRef" in e]
        assert re.fullmatch(rf"pointsman-{role}(-[a-z0-9]{{10}})?", secret)
        assert (overlay == "small") == (secret in generated), "addresses belong to who deploys"
    assert started == set(ROLES)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names_and_labels_that_point_somewhere_point_at_something(overlay: str) -> None:
    running = list(pods(overlay))
    ports = {
        name: {port["name"] for c in spec["containers"] for port in c["ports"]}
        for name, _, spec in running
    }
    for one in of(overlay, "Service"):
        found = [
            n
            for n, labels, _ in running
            if selects({"matchLabels": one["spec"]["selector"]}, labels)
        ]
        assert found == [one["metadata"]["name"]]
        assert all(port["targetPort"] in ports[found[0]] for port in one["spec"]["ports"])
    for one in of(overlay, "PodDisruptionBudget", "NetworkPolicy"):
        selector = one["spec"].get("selector") or one["spec"]["podSelector"]
        assert any(selects(selector, labels) for _, labels, _ in running), one["metadata"]["name"]
    for one in of(overlay, "Deployment"):
        assert [
            b
            for b in of(overlay, "PodDisruptionBudget")
            if b["metadata"]["name"] == one["metadata"]["name"]
        ]
    claims = {one["metadata"]["name"] for one in of(overlay, "PersistentVolumeClaim")}
    for _, _, spec in running:
        for volume in spec.get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_closed_but_what_is_opened(overlay: str) -> None:
    policies = {o["metadata"]["name"]: o["spec"] for o in of(overlay, "NetworkPolicy")}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    [outside] = [b["ipBlock"] for b in policies["models-and-apis"]["egress"][0]["to"]]
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(outside["except"]), "metadata of the cloud"
    gateway = {"app.kubernetes.io/name": "gateway", "app.kubernetes.io/part-of": "pointsman"}
    assert not selects(policies["models-and-apis"]["podSelector"], gateway)


@pytest.mark.parametrize("overlay", [o for o in OVERLAYS if o != "small"])
def test_what_scales_exists_and_counts_what_is_there(overlay: str) -> None:
    deployments = {o["metadata"]["name"]: o for o in of(overlay, "Deployment")}
    scaled = set()
    for one in of(overlay, "HorizontalPodAutoscaler", "ScaledObject"):
        target = one["spec"]["scaleTargetRef"]["name"]
        assert "replicas" not in deployments[target]["spec"], "two would own the number"
        scaled.add(target)
        for trigger in one["spec"].get("triggers", ()):
            told = trigger["metadata"]
            assert trigger["type"] != "redis" or told["listName"] == ADMISSION
            assert trigger["type"] != "prometheus" or metrics(told["query"]) <= emitted()
    assert scaled == deployments.keys()
    kept = {o["metadata"]["name"]: o["spec"] for o in of(overlay, "ScaledObject")}
    assert kept["worker"]["minReplicaCount"] >= 1, "nothing announces an expert that nobody hosts"


@pytest.mark.parametrize("overlay", [o for o in OVERLAYS if o != "small"])
def test_streams_are_never_cut_and_metrics_stay_inside(overlay: str) -> None:
    [route] = of(overlay, "HTTPRoute")
    services = {o["metadata"]["name"]: o["spec"]["ports"] for o in of(overlay, "Service")}
    limits: dict[str, str] = {}
    for rule in route["spec"]["rules"]:
        for match in rule["matches"]:
            limits[match["path"]["value"]] = rule.get("timeouts", {}).get("request", "")
        for back in rule.get("backendRefs", ()):
            assert back["port"] in {port["port"] for port in services[back["name"]]}
        if "/metrics" in str(rule["matches"]):
            assert "backendRefs" not in rule
    for path in ("/v1/runs/[^/]+/events", "/v1/chat/completions", "/v1/responses"):
        assert limits[path] == "0s"


@pytest.mark.parametrize("overlay", [o for o in OVERLAYS if o != "small"])
def test_alerts_are_about_metrics_that_exist_and_say_what_to_do(overlay: str) -> None:
    [rules] = of(overlay, "PrometheusRule")
    for group in rules["spec"]["groups"]:
        for alert in group["rules"]:
            assert metrics(alert["expr"]) <= emitted(), alert["alert"]
            assert alert["annotations"]["todo"]
            assert alert["labels"]["severity"] in ("page", "ticket")
    found = {
        (endpoint["port"], name)
        for monitor in of(overlay, "ServiceMonitor")
        for endpoint in monitor["spec"]["endpoints"]
        for service in of(overlay, "Service")
        if selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        for name in [service["metadata"]["name"]]
        if endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    }
    roles = {o["metadata"]["name"] for o in of(overlay, "Deployment")}
    assert found == {("health", role) for role in roles} | {("http", "gateway")}


def metrics(expression: str) -> set[str]:
    return set(re.findall(r"pointsman_\w+", expression))


@cache
def emitted() -> frozenset[str]:
    """Names that gateways and the health port really tell."""
    names = set()
    for registry in (Telemetry().registry, Meters(Readiness(frozenset())).registry):
        for family in registry.collect():
            suffixes = {"counter": ("_total",), "histogram": ("_count", "_sum", "_bucket")}
            for suffix in suffixes.get(family.type, ("",)):
                names.add(f"{family.name}{suffix}")
    return frozenset(names)
