//! `examples/jobs`: what schedulers run, run here as they would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::builder::{CLIP, classify, sample};
use crate::ran::Ran;

const SHARES: usize = 10;
const CLIPS: usize = 6;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/jobs").join(name)
}

/// A folder with `clips/`, one of them broken.
fn work() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("clips")).unwrap();
    for i in 1..CLIPS {
        fs::copy(sample(CLIP), dir.path().join(format!("clips/{i}.mp4"))).unwrap();
    }
    fs::write(dir.path().join("clips/broken.mp4"), "no video").unwrap();
    dir
}

/// `command` as a shell runs it in `dir`, with this build's program in its `PATH`.
fn shell(dir: &Path, command: &str, environment: &[(&str, String)]) -> Ran {
    let programs = Path::new(env!("CARGO_BIN_EXE_classify")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    // The command's own environment, to keep away what whoever runs the tests has set up.
    let own = classify().command();
    let mut shell = Command::new("bash");
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let shell = shell.args(["-c", command]).current_dir(dir).env("PATH", path);
    Ran(shell.envs(environment.iter().map(|(name, value)| (*name, value))).output().unwrap())
}

/// The command in the file's comment joins the shares to a row a clip.
fn merges(dir: &Path, file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let command = text.lines().find_map(|line| line.strip_prefix("#   classify merge ")).unwrap();
    let ran = shell(dir, &format!("classify merge {command}"), &[]);
    ran.code(0).says(&[&format!("{CLIPS} clips (1 with an error), 0 missing, 0 contradictory, 0 double")]);
}

/// Runs all shares by `run`, one of them twice, as where a task is put back into the queue.
fn all_shares(run: impl Fn(usize) -> Ran) {
    for share in (0..SHARES).chain([3]) {
        run(share).code(0);
    }
}

#[test]
fn slurms_array_gives_a_row_a_clip() {
    let dir = work();
    let file = file("slurm.sh");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("#SBATCH --array=0-{}\n", SHARES - 1)), "{text}");
    all_shares(|share| {
        let set = [("SLURM_ARRAY_TASK_ID", share.to_string()), ("SLURM_CPUS_PER_TASK", "1".into())];
        shell(dir.path(), file.to_str().unwrap(), &set)
    });
    merges(dir.path(), &file);
}

#[test]
fn kubernetes_indexed_job_gives_a_row_a_clip() {
    let dir = work();
    let file = file("kubernetes.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("completions: {SHARES}\n")), "{text}");
    // What stands below `- |`, as far as it stands further to the right.
    let (before, rest) = text.split_once("- |\n").unwrap();
    let column = before.lines().last().unwrap().len();
    let within = |line: &&str| line.len() - line.trim_start().len() > column;
    let command = rest.lines().take_while(within).collect::<Vec<_>>().join("\n");
    all_shares(|share| {
        let set = [("JOB_COMPLETION_INDEX", share.to_string()), ("COMMAND", command.clone())];
        shell(dir.path(), r#"sh -c "$COMMAND""#, &set)
    });
    merges(dir.path(), &file);
}

#[test]
fn gnu_parallel_gives_a_row_a_clip() {
    if Command::new("parallel").arg("--version").output().is_err() {
        eprintln!("skipped: parallel isn't there");
        return;
    }
    let dir = work();
    let file = file("parallel.sh");
    for _ in 0..2 {
        shell(dir.path(), &format!("{} :", file.display()), &[]).code(0);
    }
    merges(dir.path(), &file);
}
