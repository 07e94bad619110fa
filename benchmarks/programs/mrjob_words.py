"""Word count for mrjob, as its documentation writes it."""

from mrjob.job import MRJob
from mrjob.protocol import BytesProtocol, BytesValueProtocol


class WordCount(MRJob):
    INPUT_PROTOCOL = BytesValueProtocol
    OUTPUT_PROTOCOL = BytesProtocol

    def mapper(self, _, line):
        for word in line.split():
            yield word.decode("latin-1"), 1

    def combiner(self, word, counts):
        yield word, sum(counts)

    def reducer(self, word, counts):
        yield word.encode("latin-1"), b"%d" % sum(counts)


if __name__ == "__main__":
    WordCount.run()
