//! The codec against the protocol's test vectors and any bytes at all; programs against a worker that is played.

use crate::job::{BATCH_BYTES, BATCH_PAIRS};
use crate::wire::{self, FrameType, HEADER_BYTES};
use crate::{connect_and_run, perform, Block, Job, Program, Result, Values, WorkerError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::rc::Rc;

#[derive(Default)]
struct Vector {
    name: String,
    from_worker: bool,
    bad: bool,
    frame: Vec<u8>,
    meaning: Vec<String>, // its other lines
}

/// Those of the page, or of the file that APOLLO_VECTORS names.
fn vectors() -> Vec<Vector> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/artifact-protocol/vectors.txt");
    let file = std::env::var("APOLLO_VECTORS").unwrap_or_else(|_| page.to_string());
    let mut vectors: Vec<Vector> = Vec::new();
    for line in std::fs::read_to_string(&file).expect(&file).lines() {
        let (word, text) = line.split_once(' ').unwrap_or((line, ""));
        if word == "vector" {
            vectors.push(Vector { name: text.to_string(), ..Vector::default() });
        }
        let vector = match vectors.last_mut() {
            Some(vector) => vector,
            None => continue, // the file's head
        };
        match word {
            "vector" | "type" | "why" | "first" | "" => {}
            "from" => vector.from_worker = text == "worker",
            "error" => vector.bad = true,
            "hex" => vector.frame.extend(unhex(text)),
            _ => vector.meaning.push(line.to_string()),
        }
    }
    vectors
}

fn frames() -> BTreeMap<String, Vec<u8>> {
    vectors().into_iter().map(|vector| (vector.name, vector.frame)).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect(text)).collect()
}

fn in_hex(word: &str, content: &[u8]) -> String {
    let digits: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{word} {}", if digits.is_empty() { "-" } else { &digits })
}

/// Decodes a worker's frame and tells it in the words of the vectors' file.
fn render(frame: &[u8]) -> std::result::Result<Vec<String>, WorkerError> {
    let (header, body) = frame.split_at(HEADER_BYTES);
    let (kind, size) = wire::decode_header(header.try_into().expect("a header"))?;
    assert_eq!(size, body.len());
    Ok(match kind {
        FrameType::Hello => {
            let settings = wire::decode_hello(body)?;
            let limit = wire::length_at(body, 4, 0);
            let mut lines = vec!["version 1".to_string(), format!("max_body_bytes {limit}")];
            lines.extend(
                ["role", "param.q"].iter().filter_map(|&name| Some(format!("setting {name} {}", settings.get(name)?))),
            );
            lines
        }
        FrameType::Input => vec![format!("url {}", wire::text(body))],
        FrameType::Records => {
            let block = wire::decode_records(body)?;
            let records: Vec<_> = block.records().collect();
            assert_eq!(records.len(), block.count() as usize);
            let start = [format!("offset {}", block.offset()), format!("exact_offsets {}", block.exact_offsets)];
            start.into_iter().chain(records.iter().map(|record| in_hex("record", record.data))).collect()
        }
        FrameType::Groups => {
            let mut groups = wire::decode_groups(body)?;
            let mut lines = vec![format!("continues {}", groups.continues)];
            while groups.count > 0 {
                let (key, values) = groups.next(body);
                lines.push(in_hex("group", key));
                lines.extend((0..values).map(|_| in_hex("value", groups.next_value(body))));
            }
            lines
        }
        _ => Vec::new(),
    })
}

#[test]
fn workers_frames_are_understood_or_refused() {
    let first = "bad-worker-first"; // which only its place makes bad
    let vectors: Vec<_> = vectors().into_iter().filter(|vector| vector.from_worker && vector.name != first).collect();
    assert!(vectors.len() > 30);
    for vector in vectors {
        match render(&vector.frame) {
            Ok(lines) => assert!(!vector.bad && lines == vector.meaning, "{}: {lines:?}", vector.name),
            Err(error) => assert!(vector.bad && error.to_string().contains("the worker"), "{}: {error}", vector.name),
        }
    }
}

/// Numbers that look random: xorshift64 (Marsaglia, 2003).
struct Chance(u64);

/// A number that `./dev fuzz` sets, for other bytes and more of them.
fn fuzz(variable: &str) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

impl Chance {
    fn new() -> Chance {
        Chance(fuzz("APOLLO_FUZZ_SEED").max(1))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }
}

#[test]
fn any_body_is_a_frame_or_an_error() {
    let rounds = 100_000 * fuzz("APOLLO_FUZZ_TIMES");
    let mut chance = Chance::new();
    let mut refused = 0;
    for _ in 0..rounds {
        let mut body = Vec::new(); // mostly of small numbers, so that many of them add up
        for _ in 0..chance.below(12) {
            let limit = if chance.below(4) == 0 { 1 << 32 } else { 4 };
            body.extend((chance.below(limit) as u32).to_le_bytes());
        }
        body.truncate(body.len().saturating_sub(chance.below(4) as usize));
        let kind = [FrameType::Hello, FrameType::Input, FrameType::Records, FrameType::Groups, FrameType::End]
            [chance.below(5) as usize];
        let frame = wire::encode_start(kind, body.len() as u32, &body);
        refused += u64::from(render(&frame).is_err());
    }
    assert!((rounds / 10..rounds * 9 / 10).contains(&refused), "{refused}: frames are all good or all bad");
}

/// Where a test sees what was sent.
#[derive(Clone, Default)]
struct Sent(Rc<RefCell<Vec<u8>>>);

impl Write for Sent {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(content)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sent_by(send: impl FnOnce(&mut Job) -> io::Result<()>) -> Vec<u8> {
    let sent = Sent::default();
    send(&mut Job::new(Box::new(sent.clone()))).expect("memory takes everything");
    sent.0.take()
}

#[test]
fn programs_frames_have_the_bytes_of_the_page() {
    for vector in vectors().into_iter().filter(|vector| !vector.from_worker && !vector.bad) {
        let sent = match vector.name.as_str() {
            "hello-program" => {
                let body = wire::encode_hello("c/0.1.0");
                wire::encode_start(FrameType::Hello, body.len() as u32, &body)
            }
            "pairs" => {
                sent_by(|job| job.emit("", "").and_then(|()| job.emit("k\n", b"\0\xff\t")).and_then(|()| job.flush()))
            }
            "pairs-none" => sent_by(|job| job.pairs(b"", b"")),
            "output" => sent_by(|job| job.write("raw\n")),
            "counter" => sent_by(|job| job.counter("words", "é", -2)),
            "status" => sent_by(|job| job.status("half")),
            "error" => sent_by(|job| job.error("no")),
            "end-program" => sent_by(|job| job.end(258)),
            other => panic!("{other} is not sent"),
        };
        assert_eq!(sent, vector.frame, "{}", vector.name);
    }
}

/// The sizes of the frames' bodies, in their order.
fn sizes(mut frames: &[u8]) -> Vec<usize> {
    let mut sizes = Vec::new();
    while !frames.is_empty() {
        sizes.push(wire::length_at(frames, 0, 0));
        frames = &frames[HEADER_BYTES + sizes[sizes.len() - 1]..];
    }
    sizes
}

#[test]
fn pairs_are_sent_in_bounded_batches_and_large_ones_alone() {
    let sent = sent_by(|job| {
        job.emit("k", vec![0; BATCH_BYTES / 2])?;
        job.emit("large", vec![0; BATCH_BYTES])?;
        for _ in 0..=BATCH_PAIRS {
            job.emit("", "")?;
        }
        job.flush()
    });
    assert_eq!(sizes(&sent), [12 + 1 + BATCH_BYTES / 2, 12 + 5 + BATCH_BYTES, 4 + 8 * BATCH_PAIRS, 12]);
}

#[test]
fn large_output_is_cut() {
    assert_eq!(sizes(&sent_by(|job| job.write(vec![0; BATCH_BYTES + 1]))), [BATCH_BYTES, 1]);
}

#[test]
fn a_counter_has_a_name() {
    let mut job = Job::new(Box::new(io::sink()));
    assert!(job.counter("group", "", 1).is_err());
    assert!(job.counter(&"x".repeat(256), "name", 1).is_err());
    assert!(job.counter("group", &"x".repeat(255), 1).is_ok());
}

/// Plays a worker that says the frames of these names; what the program sent after its HELLO, and how it ended.
fn play(program: impl Program, names: &[&str]) -> (Vec<u8>, Result) {
    let frames = frames();
    let content: Vec<u8> = names.iter().flat_map(|&name| frames[name].clone()).collect();
    let sent = Sent::default();
    let result = perform(program, Box::new(io::Cursor::new(content)), Box::new(sent.clone()));
    let sent = sent.0.take();
    (sent[HEADER_BYTES + sizes(&sent)[0]..].to_vec(), result)
}

struct Fails;

impl Program for Fails {
    fn map(&mut self, _: &mut Job, _: &[u8]) -> Result {
        Err("no".into())
    }
}

#[test]
fn an_error_of_the_program_is_told_to_the_worker() {
    let (sent, result) = play(Fails, &["hello-worker", "records-lines"]);
    assert_eq!(result.unwrap_err().to_string(), "no");
    assert_eq!(sent, frames()["error"]);
}

struct Nothing;

impl Program for Nothing {}

#[test]
fn a_missing_function_is_named() {
    let (_, result) = play(Nothing, &["hello-worker", "records-lines"]);
    assert!(result.unwrap_err().to_string().contains("role `map`"));
}

#[derive(Default)]
struct Blocks(Vec<u8>);

impl Program for Blocks {
    fn map_block(&mut self, job: &mut Job, block: Block<'_>) -> Result {
        self.0.extend_from_slice(job.input().as_bytes());
        self.0.extend_from_slice(block.data());
        Ok(())
    }

    fn finish(&mut self, job: &mut Job) -> Result {
        Ok(job.write(&self.0)?)
    }
}

#[test]
fn blocks_are_given_whole() {
    let (sent, result) = play(Blocks::default(), &["hello-worker", "input", "records-lines", "end-worker"]);
    result.expect("all is well");
    let (output, end) = sent.split_at(sent.len() - 16);
    assert_eq!(&output[HEADER_BYTES..], b"s3://b/kab\n\n\xff\n");
    assert_eq!(end, wire::encode_start(FrameType::End, 8, &3u64.to_le_bytes()));
}

#[test]
fn without_a_worker_it_says_what_the_program_is_for() {
    let message = connect_and_run(Nothing).unwrap_err().to_string();
    assert!(message.contains("apollo run --mapper"), "{message}");
}

/// A worker that says this in pieces of at most so many bytes.
struct Pieces(io::Cursor<Vec<u8>>, usize);

impl Read for Pieces {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let size = target.len().min(self.1);
        self.0.read(&mut target[..size])
    }
}

/// Reads everything and sends it back.
struct Copies;

impl Program for Copies {
    fn map(&mut self, job: &mut Job, record: &[u8]) -> Result {
        let input = job.input().to_string();
        Ok(job.emit(record, input)?)
    }

    fn reduce(&mut self, job: &mut Job, key: &[u8], values: &mut Values) -> Result {
        while let Some(value) = values.next_value()? {
            job.emit(key, value)?;
        }
        Ok(())
    }
}

/// The good frames of the page, as streams for a mapper and a reducer.
fn conversations() -> [Vec<u8>; 2] {
    let frames = frames();
    let join = |names: &[&str]| -> Vec<u8> { names.iter().flat_map(|&name| frames[name].clone()).collect() };
    let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0];
    body.extend(b"rolereduce");
    let mut reducer = wire::encode_start(FrameType::Hello, body.len() as u32, &body);
    reducer.extend(join(&["groups", "groups-continued", "groups", "end-worker"]));
    let mapper = ["hello-worker", "records-lines", "records-lines-inexact", "input", "records-sized", "end-worker"];
    [join(&mapper), reducer]
}

/// Whether the program came to its END; if not, there is an error that says why.
fn converses(content: &[u8], step: usize) -> bool {
    let sent = Sent::default();
    let reader = Pieces(io::Cursor::new(content.to_vec()), step);
    let result = perform(Copies, Box::new(reader), Box::new(sent.clone()));
    let sent = sent.0.take();
    let last: usize = sizes(&sent).iter().rev().skip(1).map(|size| HEADER_BYTES + size).sum();
    let ended = u32::from(sent[last + 4]) == FrameType::End as u32;
    assert_eq!(ended, result.is_ok(), "{content:x?}");
    if let Err(error) = result {
        let message = error.to_string();
        assert!(message.contains("worker") || message.contains("role"), "{content:x?}: {message}");
    }
    ended
}

#[test]
fn conversations_are_understood_however_they_are_cut() {
    for content in conversations() {
        assert!((1..=content.len()).all(|step| converses(&content, step)));
    }
}

#[test]
fn any_conversation_ends_well_or_with_an_error() {
    let rounds = 5_000 * fuzz("APOLLO_FUZZ_TIMES");
    let mut chance = Chance::new();
    let streams = conversations();
    let mut ended = 0;
    for round in 0..rounds {
        let mut content = streams[round as usize % streams.len()].clone();
        for _ in 0..=chance.below(3) {
            let at = chance.below(content.len() as u64) as usize;
            content[at] = [0, 1, 2, 10, 255][chance.below(5) as usize];
        }
        let step = 1 + chance.below(content.len() as u64) as usize;
        ended += u64::from(converses(&content, step));
    }
    assert!((rounds / 20..rounds * 19 / 20).contains(&ended), "{ended}: streams are all good or all bad");
}
