"""`kubectl afterbell …`: the commands of `afterbell queue` and `afterbell jobs` with nothing but a kubeconfig.

kubectl finds the api's internal Service in the namespace and proxies to it, on a Unix socket that only this user can
open. A user who may read the admin API's Secret gets a token in the name by which the cluster knows them; others pass
one.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from afterbell.cli.admin.admin_client import UNIX
from afterbell.cli.admin.commands import jobs_app, queue_app
from afterbell.cli.main import guarded
from afterbell.core.errors import InvalidInput
from afterbell.core.session import ID_CHARS_MAX

PROGRAM: Final = "kubectl afterbell"
VARIABLE: Final = "AFTERBELL_ADMIN_SECRET"
OF_THE_API: Final = "app.kubernetes.io/component=api"
PORT: Final = "internal"
START_PATIENCE_S: Final = 15.0
LIFETIME: Final = timedelta(hours=12)

inner = typer.Typer(
    help="Inspect and control Afterbell's queue on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
inner.add_typer(queue_app, name="queue")
inner.add_typer(jobs_app, name="jobs")
outer = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Cluster:
    """kubectl with the flags that choose the cluster. Raises InvalidInput with kubectl's own error message."""

    program: str
    flags: tuple[str, ...]
    namespace: str | None

    def get(self, *words: str) -> dict[str, Any]:
        """An answer as JSON."""
        where = () if self.namespace is None else ("--namespace", self.namespace)
        command = [self.program, *self.flags, *where, *words, "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the user's kubectl
        if done.returncode:
            raise InvalidInput(f"kubectl {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@dataclass(frozen=True, slots=True)
class ApiService:
    """The api's Service for its internal port, and the labels of its pods."""

    namespace: str
    name: str
    selector: str

    @property
    def path(self) -> str:
        """Where the API server proxies to it."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.name}:{PORT}/proxy"


@outer.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def command(
    ctx: typer.Context,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n")] = None,
    context: Annotated[str | None, typer.Option("--context")] = None,
    kubeconfig: Annotated[str | None, typer.Option("--kubeconfig")] = None,
    service: Annotated[str | None, typer.Option("--service")] = None,
    role: Annotated[str, typer.Option("--role")] = "operator",
    bearer: Annotated[str | None, typer.Option("--token", envvar="AFTERBELL_ADMIN_TOKEN")] = None,
) -> None:
    """Separate kubectl's options from the command itself."""
    words = list(ctx.args)
    if len(words) < 2 or "--help" in words:
        _run(words)
        return
    cluster = _cluster(namespace, context, kubeconfig)
    api_service = find_service(cluster, service)
    cluster = Cluster(cluster.program, cluster.flags, api_service.namespace)
    token = bearer or _token(cluster, api_service, role)
    with proxied(cluster, api_service) as url:
        end = words.index("--") if "--" in words else len(words)
        _run([*words[:end], "--url", url, "--token", token, *words[end:]])


def main() -> None:
    """Run the plugin; kubectl finds it by its name."""
    guarded(outer)


def find_service(cluster: Cluster, name: str | None) -> ApiService:
    """The api's internal Service. Raises InvalidInput if there is none, or several and no name was given."""
    items = cluster.get("get", "services", "-l", OF_THE_API)["items"]
    services = [item for item in items if any(port.get("name") == PORT for port in item["spec"]["ports"])]
    if name is not None:
        services = [item for item in services if item["metadata"]["name"] == name]
    where = f"namespace {cluster.namespace}" if cluster.namespace else "the current namespace"
    if not services:
        wanted = f"{name!r} " if name else ""
        raise InvalidInput(
            f"found no Service {wanted}of Afterbell's api with a port {PORT!r} in {where}: use -n NAMESPACE"
        )
    if len(services) > 1:
        names = ", ".join(sorted(item["metadata"]["name"] for item in services))
        raise InvalidInput(f"several installations in {where}: pass --service with one of {names}")
    (item,) = services
    selector = ",".join(f"{label}={value}" for label, value in item["spec"]["selector"].items())
    return ApiService(item["metadata"]["namespace"], item["metadata"]["name"], selector)


@contextmanager
def proxied(cluster: Cluster, service: ApiService) -> Iterator[str]:
    """The URL by which the admin client reaches the Service, while `kubectl proxy` runs."""
    with tempfile.TemporaryDirectory(prefix="afterbell-") as folder:
        socket = Path(folder, "kubectl")
        words = ["proxy", f"--unix-socket={socket}", f"--accept-paths=^{service.path}/admin/"]
        process = subprocess.Popen(  # noqa: S603 - the user's kubectl
            [cluster.program, *cluster.flags, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            _until_listening(process, socket)
            yield f"{UNIX}{socket}:{service.path}"
        finally:
            process.terminate()
            process.communicate()


def _until_listening(process: "subprocess.Popen[str]", socket: Path) -> None:
    end = time.monotonic() + START_PATIENCE_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > end:
            said = process.communicate()[1].strip() if process.poll() is not None else "it did not start listening"
            raise InvalidInput(f"kubectl proxy: {said}")
        time.sleep(0.02)


def _cluster(namespace: str | None, context: str | None, kubeconfig: str | None) -> Cluster:
    program = shutil.which("kubectl")
    if program is None:
        raise InvalidInput("kubectl not found on PATH: install it, or use `afterbell queue` with --url")
    given = (("--context", context), ("--kubeconfig", kubeconfig))
    return Cluster(program, tuple(word for name, value in given if value for word in (name, value)), namespace)


def _token(cluster: Cluster, service: ApiService, role: str) -> str:
    """A token in the name by which the cluster knows the user, signed with the installation's own secret."""
    try:
        from afterbell.api.admin.admin_tokens import AdminRole, mint_admin
    except ModuleNotFoundError as missing:
        raise InvalidInput(
            f"cannot create a token without {missing.name}: pip install 'afterbell[api]', or pass --token"
        ) from None
    if role not in ("viewer", "operator"):
        raise InvalidInput(f"--role {role!r} is not one of viewer, operator", field="role")
    known: AdminRole = "viewer" if role == "viewer" else "operator"
    user = cluster.get("auth", "whoami")["status"]["userInfo"].get("username") or "kubectl"
    secret = _secret_of(cluster, service)
    return mint_admin(secret, subject=user[:ID_CHARS_MAX], role=known, now=datetime.now(UTC), lifetime=LIFETIME)


def _secret_of(cluster: Cluster, service: ApiService) -> str:
    for deployment in cluster.get("get", "deployments", "-l", service.selector)["items"]:
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            if (secret := _secret_in(cluster, container)) is not None:
                return secret
    raise InvalidInput(
        f"{VARIABLE} is not set in the pods of {service.name} or in their Secret: set it, or pass --token"
    )


def _secret_in(cluster: Cluster, container: dict[str, Any]) -> str | None:
    for variable in container.get("env", []):
        if variable["name"] == VARIABLE:
            wanted = variable.get("valueFrom", {}).get("secretKeyRef")
            return variable.get("value") if wanted is None else _value_of(cluster, wanted["name"], wanted["key"])
    for source in container.get("envFrom", []):
        name = source.get("secretRef", {}).get("name")
        if name and (value := _value_of(cluster, name, VARIABLE)) is not None:
            return value
    return None


def _value_of(cluster: Cluster, name: str, key: str) -> str | None:
    encoded = cluster.get("get", "secret", name).get("data", {}).get(key)
    return None if encoded is None else base64.b64decode(encoded).decode()


def _run(words: list[str]) -> None:
    typer.main.get_command(inner)(args=words, prog_name=PROGRAM)
