"""Runs the pods of a fake API server as worker processes of this machine, each with a loopback address of its own."""

import asyncio
import base64
import itertools
import os
import random
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from typing import Any

from apollo_common.lifecycle import TaskOwner
from support.fake_kubernetes import FakeKubernetes
from support.pools import scripted_environment
from support.scripted_worker import COMMAND

Object = dict[str, Any]


class FakeKubelet:
    """Starts what is Pending as `command`, ends what is deleted. Close it."""

    def __init__(self, api: FakeKubernetes, work_dir: Path, command: tuple[str, ...] = COMMAND) -> None:
        self._api = api
        self._work_dir = work_dir
        self._command = command
        self.cordoned = False  # then it starts nothing more
        self._tasks = TaskOwner()
        self._processes: dict[str, Process] = {}
        # Tests run side by side: 127/8 has room for all.
        self._addresses = (f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{n}" for n in itertools.count(1))
        api.pod_deleted = lambda pod: self._terminate(pod["metadata"]["name"])

    def start(self) -> None:
        self._tasks.spawn(self._keep_looking(), name="fake kubelet")

    def process(self, pod: str) -> Process:
        return self._processes[pod]

    async def close(self) -> None:
        await self._tasks.close()
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _keep_looking(self) -> None:
        while True:
            for name, pod in list(self._api.objects.get("pods", {}).items()):
                if pod["status"]["phase"] == "Pending" and name not in self._processes and not self.cordoned:
                    await self._run(name, pod)
            await asyncio.sleep(0.02)

    async def _run(self, name: str, pod: Object) -> None:
        address = next(self._addresses)
        directory = self._work_dir / name
        directory.mkdir(parents=True)
        (container,) = pod["spec"]["containers"]
        own = {item["name"]: self._value(item, pod) for item in container["env"]}
        own |= {"APOLLO_HOST": address, "APOLLO_METRICS_PORT": "-1", "APOLLO_WORK_DIR": str(directory)}
        own |= {"APOLLO_PARENT_PID": str(os.getpid())}
        own["APOLLO_TLS_DIR"] = str(self._mount(pod, own["APOLLO_TLS_DIR"], directory / "tls"))
        environment = scripted_environment() | own
        with (self._work_dir / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(*self._command, env=environment, stdout=DEVNULL, stderr=log)
        self._processes[name] = process
        self._tasks.spawn(self._watch(name, process), name=f"pod {name}")
        self._api.set_status(name, phase="Running", podIP=address, containerStatuses=[{"name": "worker"}])

    def _mount(self, pod: Object, path: str, directory: Path) -> Path:
        """Write the Secret that the container mounts at `path`."""
        directory.mkdir()
        (container,) = pod["spec"]["containers"]
        (volume,) = (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == path)
        (source,) = (item["secret"] for item in pod["spec"]["volumes"] if item["name"] == volume)
        secret = self._api.objects["secrets"][source["secretName"]]["data"]
        for item in source["items"]:
            (directory / item["path"]).write_bytes(base64.b64decode(secret[item["key"]]))
        return directory

    def _value(self, item: Object, pod: Object) -> str:
        source = item.get("valueFrom", {})
        if "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "metadata.name"
            return str(pod["metadata"]["name"])
        return str(item["value"])

    async def _watch(self, name: str, process: Process) -> None:
        status = await process.wait()
        pod = self._api.objects["pods"].get(name)
        if pod is None:
            return
        if pod["metadata"].get("deletionTimestamp"):
            self._api.remove("pods", name)
            return
        terminated = {"exitCode": status} if status >= 0 else {"exitCode": 128 - status, "signal": -status}
        ended = [{"name": "worker", "state": {"terminated": terminated}}]
        self._api.set_status(name, phase="Failed" if status else "Succeeded", containerStatuses=ended)

    def _terminate(self, name: str) -> None:
        process = self._processes.get(name)
        if process is None or process.returncode is not None:
            self._api.remove("pods", name)
        else:
            process.terminate()
