//! The attempt that runs: what it is for, and where its output goes.

use crate::wire::{self, FrameType};
use crate::{Result, VERSION};
use std::collections::BTreeMap;
use std::io::{self, Write};

pub(crate) const BATCH_BYTES: usize = 1 << 20;
pub(crate) const BATCH_PAIRS: usize = 1 << 16;
const NAME_LIMIT_BYTES: usize = 255;
const MESSAGE_LIMIT_BYTES: usize = 4096;

/// The attempt that runs: what it is for, and where its output goes.
pub struct Job {
    settings: BTreeMap<String, String>,
    attempt: u32,
    partition: u32,
    input: String,
    pub(crate) offset: Option<u64>,

    writer: Box<dyn Write>,
    key_lengths: Vec<u8>,
    value_lengths: Vec<u8>,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl Job {
    pub(crate) fn new(writer: Box<dyn Write>) -> Job {
        Job {
            settings: BTreeMap::new(),
            attempt: 0,
            partition: 0,
            input: String::new(),
            offset: None,
            writer,
            key_lengths: Vec::new(),
            value_lengths: Vec::new(),
            keys: Vec::new(),
            values: Vec::new(),
        }
    }

    /// `map`, `combine` or `reduce`.
    pub fn role(&self) -> &str {
        self.setting("role")
    }

    /// The job's id, as in the API.
    pub fn id(&self) -> &str {
        self.setting("job_id")
    }

    /// The task's id, as in the API.
    pub fn task_id(&self) -> &str {
        self.setting("task_id")
    }

    /// This attempt's number within its task, from 0.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The index of the task within its phase.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// A parameter of the job, as given by `--param NAME=VALUE`.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.settings.get(&format!("param.{name}")).map(String::as_str)
    }

    /// The URL of the current record's object; for mappers.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// The byte offset of the current record, or of the current block's first one, in the (decompressed) object; for
    /// mappers. None where the input has `\r\n` line ends and the record is not the first of its block.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// An output pair.
    pub fn emit(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> io::Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        let size = key.len() + value.len();
        if self.keys.len() + self.values.len() + size > BATCH_BYTES || self.key_lengths.len() == 4 * BATCH_PAIRS {
            self.flush()?;
        }
        let lengths = (length(key)?, length(value)?);
        self.key_lengths.extend(lengths.0);
        self.value_lengths.extend(lengths.1);
        if size > BATCH_BYTES {
            return self.pairs(key, value);
        }
        self.keys.extend_from_slice(key);
        self.values.extend_from_slice(value);
        Ok(())
    }

    /// Bytes that go to the output part as they are; for reducers, and mappers of a map-only job.
    pub fn write(&mut self, content: impl AsRef<[u8]>) -> io::Result<()> {
        self.flush()?;
        for piece in content.as_ref().chunks(BATCH_BYTES) {
            self.frame(FrameType::Output, piece, &[])?;
        }
        Ok(())
    }

    /// Adds to a counter of the job; names have 1 to 255 bytes. Cheap enough for thousands a second, not for every record.
    pub fn counter(&mut self, group: &str, name: &str, increment: i64) -> io::Result<()> {
        if [group, name].iter().any(|text| text.is_empty() || text.len() > NAME_LIMIT_BYTES) {
            return Err(invalid("a counter's group and name have 1 to 255 bytes each"));
        }
        self.frame(FrameType::Counter, &wire::encode_counter(group, name, increment), &[])
    }

    /// Says what the program is doing, in a line of at most 4,096 bytes.
    pub fn status(&mut self, message: &str) -> io::Result<()> {
        self.message(FrameType::Status, message)
    }

    pub(crate) fn hello(&mut self) -> io::Result<()> {
        self.frame(FrameType::Hello, &wire::encode_hello(&format!("rust/{VERSION}")), &[])
    }

    /// Takes what the worker says of the attempt.
    pub(crate) fn begin(&mut self, settings: BTreeMap<String, String>) -> Result {
        self.settings = settings;
        self.attempt = self.number("attempt")?;
        self.partition = self.number("partition")?;
        Ok(())
    }

    pub(crate) fn set_place(&mut self, url: &str, offset: u64) {
        if self.input != url {
            self.input = url.to_string();
        }
        self.offset = Some(offset);
    }

    pub(crate) fn error(&mut self, message: &str) -> io::Result<()> {
        self.message(FrameType::Error, message)
    }

    pub(crate) fn end(&mut self, taken: u64) -> io::Result<()> {
        self.flush()?;
        self.frame(FrameType::End, &taken.to_le_bytes(), &[])
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.key_lengths.is_empty() {
            return Ok(());
        }
        let (mut keys, mut values) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.values));
        let result = self.pairs(&keys, &values);
        keys.clear();
        values.clear();
        (self.keys, self.values) = (keys, values);
        result
    }

    /// Writes the pairs that the lengths cut.
    pub(crate) fn pairs(&mut self, keys: &[u8], values: &[u8]) -> io::Result<()> {
        let mut columns = wire::encode_count(self.key_lengths.len() / 4);
        columns.append(&mut self.key_lengths);
        columns.append(&mut self.value_lengths);
        self.frame(FrameType::Pairs, &columns, &[keys, values])
    }

    fn message(&mut self, kind: FrameType, text: &str) -> io::Result<()> {
        let bytes = text.as_bytes();
        self.frame(kind, &bytes[..bytes.len().min(MESSAGE_LIMIT_BYTES)], &[])
    }

    fn frame(&mut self, kind: FrameType, head: &[u8], rest: &[&[u8]]) -> io::Result<()> {
        let size = head.len() + rest.iter().map(|piece| piece.len()).sum::<usize>();
        let size = u32::try_from(size).map_err(|_| invalid("a frame of 4 GiB or more"))?;
        self.writer.write_all(&wire::encode_start(kind, size, head))?;
        rest.iter().try_for_each(|piece| self.writer.write_all(piece))
    }

    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> Result<u32> {
        match self.settings.get(name) {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| format!("the worker's {name} is no number: {text:?}").into()),
        }
    }
}

fn length(content: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(content.len()).map(u32::to_le_bytes).map_err(|_| invalid("a key or value of 4 GiB or more"))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
