//! Finds the lines that hold one of the texts of the parameter `pattern`, which stand between `|` (the standard library
//! has no regular expressions): file name and byte offset, then the line. Run it map-only.

use apollo_sdk::{run, Job, Program, Result};

#[derive(Default)]
struct Grep(Option<Vec<Vec<u8>>>);

fn holds(line: &[u8], text: &[u8]) -> bool {
    text.is_empty() || line.windows(text.len()).any(|window| window == text)
}

impl Program for Grep {
    fn map(&mut self, job: &mut Job, line: &[u8]) -> Result {
        if self.0.is_none() {
            let pattern = job
                .param("pattern")
                .ok_or("give me --param pattern=TEXT|TEXT")?;
            self.0 = Some(
                pattern
                    .split('|')
                    .map(|text| text.as_bytes().to_vec())
                    .collect(),
            );
        }
        if self.0.iter().flatten().any(|text| holds(line, text)) {
            let name = job
                .input()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_string();
            let offset = job
                .offset()
                .map_or("-1".to_string(), |offset| offset.to_string());
            job.emit(format!("{name}:{offset}"), line)?;
            job.counter("grep", "matching lines", 1)?;
            job.counter("matches by file", &name, 1)?;
        }
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    run(Grep::default())
}
