"""A job of mrjob with two steps and all that one may bring: files, an archive, setup, options, sorted values."""

import json
import os

from mrjob.job import MRJob
from mrjob.protocol import JSONProtocol, JSONValueProtocol
from mrjob.step import MRStep


class Scores(MRJob):
    SORT_VALUES = True
    INPUT_PROTOCOL = JSONValueProtocol
    OUTPUT_PROTOCOL = JSONProtocol

    def configure_args(self):
        super().configure_args()
        self.add_file_arg("--names")
        self.add_passthru_arg("--least", type=int, default=0)

    def steps(self):
        first = MRStep(
            mapper_init=self.read_tables,
            mapper=self.by_player,
            reducer=self.in_order,
            jobconf={"mapreduce.job.reduces": 3},
        )
        return [first, MRStep(mapper_pre_filter="grep -v p0", reducer=self.best)]

    def read_tables(self):
        self.names = dict(line.split() for line in open(self.options.names))
        self.brought = [open("table/names/statuses.tsv").readline().strip(), open("made.txt").read().strip()]
        self.brought.append(os.environ["GREETING"])

    def by_player(self, _, game):
        self.increment_counter("games, all", "read", 1)
        if game["score"] >= self.options.least:
            yield game["player"], [game["score"], self.names.get(game["player"], "?"), *self.brought]

    def in_order(self, player, scores):
        scores = list(scores)
        assert scores == sorted(scores, key=json.dumps), "sorted values"
        yield scores[0][1], [player, scores]

    def best(self, name, players):
        for player, scores in players:
            yield name, [player, max(scores)]


if __name__ == "__main__":
    Scores.run()
