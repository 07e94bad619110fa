//! The frame codec of the artifact protocol (docs/artifact-protocol.md). Pure: bytes in, values out.
//!
//! A decoder takes any bytes, and returns a `WorkerError` for those that are no frame.

use std::collections::BTreeMap;
use std::fmt;

pub(crate) const HEADER_BYTES: usize = 8;
const BODY_LIMIT_BYTES: u32 = 512 << 20;
const OFFSET_LIMIT: u64 = 1 << 62; // with what a frame holds, it still fits an i64
const PROTOCOL_VERSION: u32 = 1;
const FRAMING_LINES: u16 = 0;
const FRAMING_SIZED: u16 = 1;
const FLAG_INEXACT_OFFSETS: u16 = 1;
const FLAG_CONTINUES: u32 = 1;

const SHORT_BODY: &str = "a body that is too short";
const LENGTHS_WITHOUT_ROOM: &str = "more lengths than it has room for";
const LENGTHS_DO_NOT_ADD_UP: &str = "lengths that do not add up to its size";

/// What a worker sent that version 1 of the protocol does not allow.
#[derive(Debug)]
pub struct WorkerError(pub(crate) String);

impl fmt::Display for WorkerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WorkerError {}

type Decoded<T> = Result<T, WorkerError>;

fn refuse(frame: &str, wrong: &str) -> WorkerError {
    WorkerError(format!("the worker sent a {frame} frame with {wrong}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameType {
    Hello = 1,
    Input = 2,
    Records = 3,
    Groups = 4,
    Pairs = 5,
    Output = 6,
    Counter = 7,
    Status = 8,
    End = 9,
    Error = 10,
}

fn u16_at(body: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(body[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(body: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(body[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(body: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(body[at..at + 8].try_into().expect("eight bytes"))
}

/// The number at `index` of a column of u32 that begins at `at`.
pub(crate) fn length_at(body: &[u8], at: usize, index: usize) -> usize {
    u32_at(body, at + 4 * index) as usize
}

/// A column of u32, as it was received.
fn sum(column: &[u8]) -> u64 {
    column.chunks_exact(4).map(|number| u64::from(u32_at(number, 0))).sum()
}

/// The type of a worker's frame, and the length of its body.
pub(crate) fn decode_header(header: [u8; HEADER_BYTES]) -> Decoded<(FrameType, usize)> {
    let (size, number) = (u32_at(&header, 0), u32_at(&header, 4));
    let kind = match number {
        1 => FrameType::Hello,
        2 => FrameType::Input,
        3 => FrameType::Records,
        4 => FrameType::Groups,
        9 => FrameType::End,
        _ => {
            let message = format!("the worker sent a frame of type {number}, which is none of a worker's");
            return Err(WorkerError(message));
        }
    };
    if size > BODY_LIMIT_BYTES {
        let message = format!("the worker sent a frame of {size} bytes; the protocol allows {BODY_LIMIT_BYTES}");
        return Err(WorkerError(message));
    }
    if kind == FrameType::End && size > 0 {
        return Err(refuse("END", "a body"));
    }
    Ok((kind, size as usize))
}

/// The worker's settings.
pub(crate) fn decode_hello(body: &[u8]) -> Decoded<BTreeMap<String, String>> {
    const START_BYTES: usize = 12;
    if body.len() < START_BYTES {
        return Err(refuse("HELLO", SHORT_BODY));
    }
    let version = u32_at(body, 0);
    if version != PROTOCOL_VERSION {
        let message = format!("this program speaks version 1 of the artifact protocol, the worker {version}");
        return Err(WorkerError(message));
    }
    let count = u32_at(body, 8) as usize;
    let texts_at = START_BYTES as u64 + 8 * count as u64;
    if texts_at > body.len() as u64 {
        return Err(refuse("HELLO", LENGTHS_WITHOUT_ROOM));
    }
    let (keys_at, values_at) = (START_BYTES, START_BYTES + 4 * count);
    let keys_size = sum(&body[keys_at..values_at]);
    let values_size = sum(&body[values_at..texts_at as usize]);
    if texts_at + keys_size + values_size != body.len() as u64 {
        return Err(refuse("HELLO", LENGTHS_DO_NOT_ADD_UP));
    }
    let (mut keys, mut values) = body[texts_at as usize..].split_at(keys_size as usize);
    let mut settings = BTreeMap::new();
    for index in 0..count {
        let (key, later_keys) = keys.split_at(length_at(body, keys_at, index));
        let (value, later_values) = values.split_at(length_at(body, values_at, index));
        settings.insert(text(key), text(value));
        (keys, values) = (later_keys, later_values);
    }
    Ok(settings)
}

pub(crate) fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}

/// Some records of one input object, in order.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    lengths: Option<&'a [u8]>,
    data: &'a [u8],
    count: u32,
    offset: u64,
    pub(crate) exact_offsets: bool,
}

/// A record, without its line end, and its byte offset in the object where that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its bytes.
    pub data: &'a [u8],
    /// None where the input has `\r\n` line ends and the record is not the first of its block.
    pub offset: Option<u64>,
}

impl<'a> Block<'a> {
    /// The records: lines, each with one `\n` after it, or else records back to back, which `records` cuts.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The byte offset of the first one in the (decompressed) object.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Each record, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> {
        let mut rest = *self;
        let mut offset = Some(self.offset);
        std::iter::from_fn(move || {
            let size = rest.next_size()?;
            let (with_end, later) = rest.data.split_at(size);
            let data = if rest.lengths.is_none() { &with_end[..size - 1] } else { with_end };
            let record = Record { data, offset };
            rest.data = later;
            offset = offset.filter(|_| rest.exact_offsets).map(|at| at + size as u64);
            Some(record)
        })
    }

    /// The bytes of the next record, with its line end; None at the end.
    fn next_size(&mut self) -> Option<usize> {
        match &mut self.lengths {
            None => Some(1 + self.data.iter().position(|&byte| byte == b'\n')?),
            Some([]) => None,
            Some(lengths) => {
                let size = length_at(lengths, 0, 0);
                *lengths = &lengths[4..];
                Some(size)
            }
        }
    }
}

pub(crate) fn decode_records(body: &[u8]) -> Decoded<Block<'_>> {
    const START_BYTES: usize = 16;
    if body.len() < START_BYTES {
        return Err(refuse("RECORDS", SHORT_BODY));
    }
    let (framing, flags, count) = (u16_at(body, 0), u16_at(body, 2), u32_at(body, 4));
    let mut block = Block {
        lengths: None,
        data: &body[START_BYTES..],
        count,
        offset: u64_at(body, 8),
        exact_offsets: flags & FLAG_INEXACT_OFFSETS == 0,
    };
    if block.offset >= OFFSET_LIMIT {
        return Err(refuse("RECORDS", "an offset that no object has"));
    }
    if framing == FRAMING_LINES {
        let lines = block.data.iter().filter(|&&byte| byte == b'\n').count();
        if lines != count as usize || !matches!(block.data.last(), None | Some(b'\n')) {
            return Err(refuse("RECORDS", "another number of lines than it counts"));
        }
    } else if framing == FRAMING_SIZED {
        if 4 * u64::from(count) > block.data.len() as u64 {
            return Err(refuse("RECORDS", LENGTHS_WITHOUT_ROOM));
        }
        let (lengths, data) = block.data.split_at(4 * count as usize);
        if sum(lengths) != data.len() as u64 {
            return Err(refuse("RECORDS", LENGTHS_DO_NOT_ADD_UP));
        }
        (block.lengths, block.data) = (Some(lengths), data);
    } else {
        return Err(refuse("RECORDS", &format!("the framing {framing}")));
    }
    Ok(block)
}

/// What is left of a GROUPS frame, as places in its body.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Its first group is the last one of the frame before.
    pub continues: bool,
    pub count: usize,
    key_lengths_at: usize,
    counts_at: usize,
    value_lengths_at: usize,
    keys_at: usize,
    values_at: usize,
}

impl Groups {
    /// Takes off the first group: its key, and how many values it has here.
    pub fn next<'a>(&mut self, body: &'a [u8]) -> (&'a [u8], usize) {
        let size = length_at(body, self.key_lengths_at, 0);
        let (key, values) = (&body[self.keys_at..self.keys_at + size], length_at(body, self.counts_at, 0));
        self.key_lengths_at += 4;
        self.counts_at += 4;
        self.keys_at += size;
        self.count -= 1;
        (key, values)
    }

    pub fn next_value<'a>(&mut self, body: &'a [u8]) -> &'a [u8] {
        let size = length_at(body, self.value_lengths_at, 0);
        let value = &body[self.values_at..self.values_at + size];
        self.value_lengths_at += 4;
        self.values_at += size;
        value
    }
}

pub(crate) fn decode_groups(body: &[u8]) -> Decoded<Groups> {
    const START_BYTES: usize = 12;
    if body.len() < START_BYTES {
        return Err(refuse("GROUPS", SHORT_BODY));
    }
    let (count, flags, values) = (u32_at(body, 0) as usize, u32_at(body, 4), u32_at(body, 8) as usize);
    if count == 0 {
        return Err(refuse("GROUPS", "no groups"));
    }
    if START_BYTES as u64 + 8 * count as u64 + 4 * values as u64 > body.len() as u64 {
        return Err(refuse("GROUPS", LENGTHS_WITHOUT_ROOM));
    }
    let counts_at = START_BYTES + 4 * count;
    let value_lengths_at = counts_at + 4 * count;
    let keys_at = value_lengths_at + 4 * values;
    if sum(&body[counts_at..value_lengths_at]) != values as u64 {
        return Err(refuse("GROUPS", "another number of values than its groups have"));
    }
    let values_at = keys_at as u64 + sum(&body[START_BYTES..counts_at]);
    if values_at + sum(&body[value_lengths_at..keys_at]) != body.len() as u64 {
        return Err(refuse("GROUPS", LENGTHS_DO_NOT_ADD_UP));
    }
    Ok(Groups {
        continues: flags & FLAG_CONTINUES != 0,
        count,
        key_lengths_at: START_BYTES,
        counts_at,
        value_lengths_at,
        keys_at,
        values_at: values_at as usize,
    })
}

/// A frame's header, and the beginning of its body.
pub(crate) fn encode_start(kind: FrameType, body_size: u32, head: &[u8]) -> Vec<u8> {
    let mut start = Vec::with_capacity(HEADER_BYTES + head.len());
    start.extend(body_size.to_le_bytes());
    start.extend((kind as u32).to_le_bytes());
    start.extend_from_slice(head);
    start
}

pub(crate) fn encode_count(pairs: usize) -> Vec<u8> {
    (pairs as u32).to_le_bytes().to_vec()
}

/// A program's: its version, no limit of its own, and which SDK it is.
pub(crate) fn encode_hello(sdk: &str) -> Vec<u8> {
    let numbers = [PROTOCOL_VERSION, 0, 1, "sdk".len() as u32, sdk.len() as u32];
    let mut body: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    body.extend_from_slice(b"sdk");
    body.extend_from_slice(sdk.as_bytes());
    body
}

pub(crate) fn encode_counter(group: &str, name: &str, increment: i64) -> Vec<u8> {
    let mut body = increment.to_le_bytes().to_vec();
    body.extend((group.len() as u32).to_le_bytes());
    body.extend_from_slice(group.as_bytes());
    body.extend_from_slice(name.as_bytes());
    body
}
