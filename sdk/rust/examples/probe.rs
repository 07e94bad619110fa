//! Prints what it understands of the worker's frames, and sends one frame of each kind. The tests speak with it.

use apollo_sdk::{run, Job, Program, Result, Values};

struct Probe;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Program for Probe {
    fn map(&mut self, job: &mut Job, record: &[u8]) -> Result {
        let input = if job.input().is_empty() { "-" } else { job.input() };
        let offset = job.offset().map_or("-1".to_string(), |offset| offset.to_string());
        println!("record {input} {offset} {}", hex(record));
        Ok(())
    }

    fn reduce(&mut self, job: &mut Job, key: &[u8], values: &mut Values) -> Result {
        println!("group {}", hex(key));
        if job.param("skip").is_none() {
            while let Some(value) = values.next_value()? {
                println!("value {}", hex(value));
            }
        }
        Ok(())
    }

    fn finish(&mut self, job: &mut Job) -> Result {
        if job.param("fail").is_some() {
            return Err("no".into());
        }
        println!("role {} q {}", job.role(), job.param("q").unwrap_or("-"));
        job.emit("", "")?;
        job.emit("k\n", b"\x00\xff\t")?;
        job.write("raw\n")?;
        job.counter("words", "é", -2)?;
        Ok(job.status("half")?)
    }
}

fn main() -> std::process::ExitCode {
    run(Probe)
}
