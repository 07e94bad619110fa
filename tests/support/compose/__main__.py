"""`python -m support.compose up|down|running`: the engine, with all images, those of Apollo as the sources are now."""

from support.cluster.verbs import run_verb
from support.compose.machine import Machine

if __name__ == "__main__":
    machine = Machine()
    run_verb("compose", machine, machine.build_images)
