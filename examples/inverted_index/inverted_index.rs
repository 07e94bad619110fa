//! Tells for every word (letters, in lower case) the names of the files that it is in.

use apollo_sdk::{run, Job, Program, Result, Values};
use std::collections::BTreeSet;

struct InvertedIndex;

fn unique(values: &mut Values) -> Result<BTreeSet<Vec<u8>>> {
    let mut names = BTreeSet::new();
    while let Some(name) = values.next_value()? {
        if !names.contains(name) {
            names.insert(name.to_vec());
        }
    }
    Ok(names)
}

impl Program for InvertedIndex {
    fn map(&mut self, job: &mut Job, line: &[u8]) -> Result {
        let name = job
            .input()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_string();
        for word in line
            .to_ascii_lowercase()
            .split(|byte| !byte.is_ascii_lowercase())
        {
            if !word.is_empty() {
                job.emit(word, &name)?;
            }
        }
        Ok(())
    }

    fn combine(&mut self, job: &mut Job, word: &[u8], values: &mut Values) -> Result {
        for name in unique(values)? {
            job.emit(word, name)?;
        }
        Ok(())
    }

    fn reduce(&mut self, job: &mut Job, word: &[u8], values: &mut Values) -> Result {
        let names: Vec<Vec<u8>> = unique(values)?.into_iter().collect();
        Ok(job.emit(word, names.join(&b','))?)
    }
}

fn main() -> std::process::ExitCode {
    run(InvertedIndex)
}
