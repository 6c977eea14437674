//! Real odd and broken files through the finished command: what is said of each, as recorded in
//! `odd_table.tsv` and judged by eye. A crash inside the decoder would be a line too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The folder of odd files; says so where it isn't there.
fn odd_files() -> Option<PathBuf> {
    let shared = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("CLASSIFY_SHARED").map_or_else(shared, PathBuf::from).join("data/odd");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn what_is_said_of_each_odd_file() {
    let Some(folder) = odd_files() else { return };
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
    command.args([".", "--format", "json", "--model", "imagenet-lite0", "--frames", "4", "--size", "96"]);
    let output = command.current_dir(&folder).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = row["path"].as_str().unwrap().trim_start_matches("./").to_owned();
        said.entry(name).or_default().push(row["error"].as_str().unwrap_or("labelled").to_owned());
    }
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        if let Some((name, text)) = line.strip_prefix("warning: ./").and_then(|rest| rest.split_once(": ")) {
            said.entry(name.to_owned()).or_default().push(text.to_owned());
        }
    }
    let table: String = said.iter().map(|(name, says)| format!("{name}\t{}\n", says.join("; "))).collect();
    let recorded = include_str!("odd_table.tsv");
    for (now, then) in table.lines().zip(recorded.lines()) {
        assert_eq!(now, then, "the recorded table says otherwise");
    }
    assert_eq!(table.lines().count(), recorded.lines().count(), "{table}");
    assert!(!table.contains("crashed the decoder"));
    // No file may take 10 s; two at a time take far less for all of them.
    let limit = Duration::from_secs(10) * said.len() as u32;
    assert!(start.elapsed() < limit, "{:?}", start.elapsed());
}

/// Every picture of each, as `classify check` and timelines go through them.
#[test]
fn no_odd_file_crashes_the_decoder_when_it_is_watched() {
    let Some(folder) = odd_files() else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
    let output = command.args(["check", "."]).current_dir(&folder).stdin(Stdio::null()).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(!lines.contains("crashed the decoder"), "{lines}");
    // Those that can't be labelled can't be watched either.
    let refused = |says: &str| says != "labelled" && !says.starts_with("labelled;");
    let table = include_str!("odd_table.tsv").lines().filter_map(|line| line.split_once('\t'));
    let mut broken: Vec<&str> = table.filter(|(_, says)| refused(says)).map(|(name, _)| name).collect();
    broken.sort_unstable();
    let names = lines.lines().filter_map(|line| line.strip_prefix("broken   ./")?.split_once(": "));
    let mut said: Vec<&str> = names.map(|(name, _)| name).collect();
    said.sort_unstable();
    assert_eq!(said, broken, "{lines}");
}
