"""mrjob with its runner of local processes."""

from benchmarks.contenders import PROGRAMS, Contender, environment_of, locked_version


def words() -> Contender:
    job = [str(environment_of("mrjob")), str(PROGRAMS / "mrjob_words.py")]
    options = ["-r", "local", "--no-cat-output", "--output-dir"]
    return Contender(
        "mrjob",
        locked_version("mrjob", "mrjob"),
        lambda source, target, _: [*job, *options, str(target), str(source)],
    )
