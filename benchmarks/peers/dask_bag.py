"""A bag of Dask on its scheduler of processes."""

from benchmarks.contenders import PROGRAMS, WORKERS, Contender, environment_of, locked_version


def words() -> Contender:
    job = [str(environment_of("dask")), str(PROGRAMS / "dask_words.py"), str(WORKERS)]
    return Contender(
        "dask-bag",
        locked_version("dask", "dask"),
        lambda source, target, _: [*job, str(source), str(target)],
    )
