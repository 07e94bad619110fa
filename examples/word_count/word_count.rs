//! Counts words, and sums in memory before it emits. One program for map, combine and reduce.

use apollo_sdk::{run, Block, Job, Program, Result, Values};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

const WORDS_LIMIT: usize = 1 << 18; // then the sums so far are emitted

/// FNV-1a: for short words several times faster than the standard library's hash, which withstands chosen keys.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf29ce484222325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100000001b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Default)]
struct WordCount(HashMap<Vec<u8>, u64, BuildHasherDefault<Fnv>>);

impl Program for WordCount {
    fn map_block(&mut self, job: &mut Job, block: Block<'_>) -> Result {
        for word in block
            .data()
            .split(|&byte| byte == b' ' || (b'\t'..=b'\r').contains(&byte))
        {
            if let Some(count) = self.0.get_mut(word) {
                *count += 1;
            } else if !word.is_empty() {
                if self.0.len() == WORDS_LIMIT {
                    self.finish(job)?;
                }
                self.0.insert(word.to_vec(), 1);
            }
        }
        Ok(())
    }

    fn reduce(&mut self, job: &mut Job, word: &[u8], counts: &mut Values) -> Result {
        let mut sum = 0;
        while let Some(count) = counts.next_value()? {
            sum += std::str::from_utf8(count)?.parse::<u64>()?;
        }
        Ok(job.emit(word, sum.to_string())?)
    }

    fn finish(&mut self, job: &mut Job) -> Result {
        for (word, count) in self.0.drain() {
            job.emit(word, count.to_string())?;
        }
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    run(WordCount::default())
}
