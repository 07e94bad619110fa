//! Apollo mappers, combiners and reducers in Rust: the frames protocol, version 1 (docs/artifact-protocol.md).
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod input;
mod job;
mod wire;

pub use input::Values;
pub use job::Job;
pub use wire::{Block, Record, WorkerError};

use input::Input;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a program's functions return. An error fails the attempt, and is what the job's failure says.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// By the marker in this message a worker knows that the program speaks frames: the linker keeps what is used.
const USAGE: &str =
    "this is an Apollo program (apollo-artifact:frames/1): give it to `apollo run --mapper` or `--reducer`";

/// A mapper, a reducer, or both. A function that is called, but that the program does not have, fails the attempt.
pub trait Program {
    /// Called for each record, without its line end.
    fn map(&mut self, job: &mut Job, record: &[u8]) -> Result {
        let _ = record;
        Err(missing(job))
    }

    /// Called for each block of records. Without it, every record of the block goes to `map`; with it, none does.
    fn map_block(&mut self, job: &mut Job, block: Block<'_>) -> Result {
        for record in block.records() {
            job.offset = record.offset;
            self.map(job, record.data)?;
        }
        Ok(())
    }

    /// Called for each key, in order, with its values. Those that are left unread are skipped.
    fn reduce(&mut self, job: &mut Job, key: &[u8], values: &mut Values) -> Result {
        let _ = (key, values);
        Err(missing(job))
    }

    /// The same on the mapper's side, to send less. Without it, `reduce` serves as both.
    fn combine(&mut self, job: &mut Job, key: &[u8], values: &mut Values) -> Result {
        self.reduce(job, key, values)
    }

    /// Called after the last record or key.
    fn finish(&mut self, job: &mut Job) -> Result {
        let _ = job;
        Ok(())
    }
}

fn missing(job: &Job) -> Box<dyn std::error::Error> {
    format!("this program has no function for the role `{}`", job.role()).into()
}

/// Does what the worker that started this process asks for; `main` returns what it returns. When that fails, there is a
/// message on standard error, and the status is 1.
pub fn run(program: impl Program) -> ExitCode {
    match connect_and_run(program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("apollo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn connect_and_run(program: impl Program) -> Result {
    let path = std::env::var_os("APOLLO_SOCKET").ok_or(USAGE)?;
    let writer = UnixStream::connect(&path).map_err(|error| format!("{}: {error}", path.to_string_lossy()))?;
    let reader = writer.try_clone()?;
    perform(program, Box::new(reader), Box::new(writer))
}

/// Runs the program over a connection; what ends it early is told to the worker, too.
fn perform(mut program: impl Program, reader: Box<dyn Read>, writer: Box<dyn Write>) -> Result {
    let mut job = Job::new(writer);
    let result = converse(&mut program, &mut job, Input::new(reader));
    if let Err(error) = &result {
        let _ = job.error(&error.to_string()); // the worker may be what has gone
    }
    result
}

fn converse(program: &mut impl Program, job: &mut Job, mut input: Input) -> Result {
    job.hello()?;
    job.begin(input.hello()?)?;
    let taken = match job.role() {
        "map" => map_blocks(program, job, &mut input)?,
        "reduce" | "combine" => reduce_groups(program, job, input)?,
        _ => return Err(missing(job)),
    };
    program.finish(job)?;
    Ok(job.end(taken)?)
}

/// How many records were taken.
fn map_blocks(program: &mut impl Program, job: &mut Job, input: &mut Input) -> Result<u64> {
    let mut taken = 0;
    while let Some((url, block)) = input.next_block()? {
        taken += u64::from(block.count());
        job.set_place(url, block.offset());
        program.map_block(job, block)?;
    }
    Ok(taken)
}

/// How many groups were taken.
fn reduce_groups(program: &mut impl Program, job: &mut Job, input: Input) -> Result<u64> {
    let combines = job.role() == "combine";
    let mut values = Values::new(input);
    let mut key = Vec::new();
    let mut taken = 0;
    while values.next_group(&mut key)? {
        taken += 1;
        if combines {
            program.combine(job, &key, &mut values)?;
        } else {
            program.reduce(job, &key, &mut values)?;
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests;
