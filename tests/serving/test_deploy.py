"""The files of deploy/, read by those who will read them, as far as these are packages."""

import re
import subprocess
from pathlib import Path

import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_model_server_reads_its_configuration() -> None:
    text = (DEPLOY / "models.config").read_text()
    (model,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("kits", "/models/kits", "tensorflow")
    assert dict(model.version_labels) == {"stable": 1} and list(model.model_version_policy.specific.versions) == [1]
    # The additions that its comments suggest are read too.
    text = text.replace("versions: 1 }", "versions: 1 versions: 2 }").replace("# version_labels", "version_labels")
    (model,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}


def test_compose_and_kubernetes_agree() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    gpu = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())["services"]
    deployment, service = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == gpu["serving"]["image"] == compose["serving"]["image"] + "-gpu"
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", compose["serving"]["image"])
    assert set(container["args"]) < set(compose["serving"]["command"])
    commands = " ".join(compose["serving"]["command"] + compose["prometheus"]["command"])
    for name in re.findall(r"/config/([\w.]+)", commands):
        assert (DEPLOY / name).is_file()
    probe = container["startupProbe"]["exec"]["command"]
    assert probe == compose["serving"]["healthcheck"]["test"][1:]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {port["port"] for port in service["spec"]["ports"]} == {8500, 8501}
    scrape = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert scrape["metrics_path"] == "/monitoring/prometheus/metrics"


def test_the_health_check_says_which_model_is_available(fake_server) -> None:
    """The very command, on the development server's port."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    *bash, script = compose["serving"]["healthcheck"]["test"][1:]
    port = fake_server.rest_address.rpartition(":")[2]
    for change, status in (({}, 0), ({"kits": "hearts"}, 1)):
        text = script.replace("8501", port)
        for old, new in change.items():
            text = text.replace(old, new)
        assert subprocess.run([*bash, text], check=False, timeout=20).returncode == status
