"""What an operator may set about the HTTP API. Parsed by the composition root, then frozen."""

from dataclasses import dataclass

from apollo_common.storage.policy import NOTHING_ALLOWED, StorePolicy
from apollo_coordinator.pod_policy import PodPolicy

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """All times are seconds. The timeouts bound how long a stalled connection lives: 60 s in all by default."""

    local_names_only: bool = False  # refuse requests that name this host otherwise than by address or as localhost
    store_policy: StorePolicy = NOTHING_ALLOWED
    allow_network: bool = False  # to programs of jobs that ask for it
    intermediate_url: str = ""  # where map outputs lie, for jobs that keep theirs
    pod_policy: PodPolicy | None = None  # what jobs may ask of their worker pods; None: workers are no pods
    secret_references: bool = False  # whether `credentialsSecret` can be resolved (Kubernetes)
    max_body_bytes: int = 4 * MIB
    max_upload_bytes: int = 256 * MIB  # as the artifact store's limit: refuses by Content-Length before reading
    max_streams: int = 1000  # event and log streams open at once
    header_timeout_s: float = 30  # from the connection, or the last answer, to the end of the request's headers
    body_timeout_s: float = 30  # for a whole JSON body, and between two pieces of an upload
    upload_timeout_s: float = 3600  # for a whole upload, however steadily it trickles in
    linger_s: float = 10  # to read the rest of a body that was refused, so that the client sees the answer
    write_timeout_s: float = 30  # for a client that does not read its answer
    ping_s: float = 15  # between comments on a silent event stream
    shutdown_s: float = 3  # for requests under way when the server closes
