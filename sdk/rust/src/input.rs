//! The worker's frames, as they come.

use crate::wire::{self, Block, FrameType, Groups, WorkerError, HEADER_BYTES};
use crate::Result;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};

/// Reads frames into one buffer.
pub(crate) struct Input {
    reader: Box<dyn Read>,
    body: Vec<u8>,
    url: String,
}

impl Input {
    pub fn new(reader: Box<dyn Read>) -> Input {
        Input { reader, body: Vec::new(), url: String::new() }
    }

    pub fn hello(&mut self) -> Result<BTreeMap<String, String>> {
        match self.frame()? {
            FrameType::Hello => Ok(wire::decode_hello(&self.body)?),
            other => Err(unexpected("began with", other, "not with HELLO")),
        }
    }

    /// The next block and its object's URL; None after the last.
    pub fn next_block(&mut self) -> Result<Option<(&str, Block<'_>)>> {
        loop {
            match self.frame()? {
                FrameType::End => return Ok(None),
                FrameType::Input => self.url = wire::text(&self.body),
                FrameType::Records => return Ok(Some((&self.url, wire::decode_records(&self.body)?))),
                other => return Err(unexpected("sent", other, "to a mapper")),
            }
        }
    }

    /// The next frame of groups, whose places are those of `body`; None after the last.
    fn next_groups(&mut self) -> Result<Option<Groups>> {
        match self.frame()? {
            FrameType::End => Ok(None),
            FrameType::Groups => Ok(Some(wire::decode_groups(&self.body)?)),
            other => Err(unexpected("sent", other, "to a reducer")),
        }
    }

    fn frame(&mut self) -> Result<FrameType> {
        let mut header = [0; HEADER_BYTES];
        self.reader.read_exact(&mut header).map_err(closed)?;
        let (kind, size) = wire::decode_header(header)?;
        // Takes memory as the bytes come, whatever the header says.
        self.body.clear();
        let received = self.reader.by_ref().take(size as u64).read_to_end(&mut self.body).map_err(closed)?;
        if received < size {
            return Err(closed(ErrorKind::UnexpectedEof.into()));
        }
        Ok(kind)
    }
}

fn closed(error: std::io::Error) -> Box<dyn std::error::Error> {
    match error.kind() {
        ErrorKind::UnexpectedEof => WorkerError("the worker closed the connection".into()).into(),
        _ => format!("reading from the worker: {error}").into(),
    }
}

fn unexpected(verb: &str, kind: FrameType, how: &str) -> Box<dyn std::error::Error> {
    WorkerError(format!("the worker {verb} a frame of type {}, {how}", kind as u32)).into()
}

/// The values of one key, which may be more than fit into memory:
///
/// ```
/// # fn read(values: &mut apollo_sdk::Values) -> apollo_sdk::Result<usize> {
/// let mut size_bytes = 0;
/// while let Some(value) = values.next_value()? {
///     size_bytes += value.len();
/// }
/// # Ok(size_bytes)
/// # }
/// ```
pub struct Values {
    input: Input,
    groups: Groups,
    left: usize,
    key: Vec<u8>,
    inside: bool,
    at_end: bool,
}

impl Values {
    pub(crate) fn new(input: Input) -> Values {
        Values { input, groups: Groups::default(), left: 0, key: Vec::new(), inside: false, at_end: false }
    }

    /// The next value, which is valid until the next call; None after the last.
    pub fn next_value(&mut self) -> Result<Option<&[u8]>> {
        while self.inside && self.left == 0 {
            self.inside = self.goes_on()?;
        }
        if !self.inside {
            return Ok(None);
        }
        self.left -= 1;
        Ok(Some(self.groups.next_value(&self.input.body)))
    }

    /// Looks for more of the current group in the next frame.
    fn goes_on(&mut self) -> Result<bool> {
        if self.groups.count > 0 || !self.load()? || !self.groups.continues {
            return Ok(false);
        }
        let (key, values) = self.groups.next(&self.input.body);
        if key != self.key {
            return Err(WorkerError("the worker goes on with a group under another key".into()).into());
        }
        self.left = values;
        Ok(true)
    }

    /// Skips what is left of the current group and puts the next one's key into `target`; false at the end.
    pub(crate) fn next_group(&mut self, target: &mut Vec<u8>) -> Result<bool> {
        while self.next_value()?.is_some() {}
        if self.groups.count == 0 && !self.at_end && self.load()? && self.groups.continues {
            return Err(WorkerError("the worker goes on with a group that it has not begun".into()).into());
        }
        if self.at_end {
            return Ok(false);
        }
        let (key, values) = self.groups.next(&self.input.body);
        self.key.clear();
        self.key.extend_from_slice(key);
        target.clone_from(&self.key);
        (self.left, self.inside) = (values, true);
        Ok(true)
    }

    fn load(&mut self) -> Result<bool> {
        match self.input.next_groups()? {
            Some(groups) => self.groups = groups,
            None => self.at_end = true,
        }
        Ok(!self.at_end)
    }
}
