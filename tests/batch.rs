//! Folders left alone: killed, full disks, crashes, shares. The command as a process, on real clips.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};

/// The command with few small frames, so that a clip takes little time.
fn classify() -> Command {
    let mut command = full();
    command.args(["--model", "imagenet-lite0", "--frames", "4", "--size", "96"]);
    command
}

fn full() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
    command.stdin(Stdio::null());
    command
}

/// The fine-tuned model as it is.
fn fine_tuned() -> Command {
    let mut command = full();
    command.args(["--model", "ucf14-lite0-lstm"]);
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

/// A folder with `copies` of each sample, one broken clip and one text file.
fn folder(copies: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for copy in 0..copies {
        for name in ["balance_beam", "bikes", "jumping_jacks"] {
            let to = folder.path().join(format!("{name}_{copy}.mp4"));
            fs::copy(samples().join(name).with_extension("mp4"), to).unwrap();
        }
    }
    fs::write(folder.path().join("broken.mp4"), "no video").unwrap();
    fs::write(folder.path().join("notes.txt"), "no video").unwrap();
    folder
}

fn rows(journal: &Path) -> usize {
    fs::read_to_string(journal).map_or(0, |text| text.lines().filter(|l| l.starts_with("{\"path\"")).count())
}

fn start(mut command: Command, folder: &Path, output: &Path) -> Child {
    command.arg(folder).arg("-o").arg(output).args(["--resume", "-q"]);
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// Labels `inputs` without a break and with five kills, and compares.
fn kill_five_times(command: fn() -> Command, inputs: &Path, total: usize, expected_status: i32) {
    let out = tempfile::tempdir().unwrap();
    let (whole, killed) = (out.path().join("whole.csv"), out.path().join("killed.csv"));
    let (status, _, errors) = run(command().arg(inputs).arg("-o").arg(&whole));
    assert_eq!(status, expected_status, "{errors}");
    assert!(!out.path().join("whole.csv.journal").exists(), "the journal of a finished run goes away");

    let journal = out.path().join("killed.csv.journal");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let mut done = 0;
    for kill in 1..=5 {
        let mut child = start(command(), inputs, &killed);
        let deadline = Instant::now() + Duration::from_secs(1200);
        while rows(&journal) < total * kill / 6 {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "kill {kill}");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_micros(random.random_range(0..20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(rows(&journal) >= done && !killed.exists(), "kill {kill}");
        done = rows(&journal);
    }
    let (status, _, errors) = run(command().arg(inputs).arg("-o").arg(&killed).arg("--resume"));
    assert_eq!(status, expected_status, "{errors}");
    assert!(errors.contains(&format!("{done} clips known from an earlier run")), "{errors}");
    assert_eq!(fs::read(&killed).unwrap(), fs::read(&whole).unwrap());
    assert_eq!(rows(&journal), total, "nothing was done twice");
}

#[test]
fn killed_five_times_the_result_is_the_same_to_the_byte() {
    let folder = folder(6);
    kill_five_times(classify, folder.path(), 19, 1);
}

/// All 1,256 clips take minutes, so only with `CLASSIFY_ALL` in the environment.
#[test]
fn all_of_ucf14_killed_five_times() {
    let shared = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("CLASSIFY_SHARED").map_or_else(shared, PathBuf::from);
    let clips = shared.join("data/ucf14");
    if std::env::var_os("CLASSIFY_ALL").is_none() || !clips.is_dir() {
        println!("skipped: needs {} and CLASSIFY_ALL=1", clips.display());
        return;
    }
    kill_five_times(fine_tuned, &clips, 1256, 0);
}

#[test]
fn a_disk_that_fills_up_loses_nothing() {
    let folder = folder(3);
    let out = tempfile::tempdir().unwrap();
    let (whole, full) = (out.path().join("whole.jsonl"), out.path().join("full.jsonl"));
    run(classify().arg(folder.path()).arg("-o").arg(&whole));
    let mut command = classify();
    command.arg(folder.path()).arg("-o").arg(&full).arg("--resume");
    // No file may grow beyond this: the write that does ends in its middle, as on a full disk.
    let limit = libc::rlimit { rlim_cur: 2500, rlim_max: 2500 };
    // SAFETY: both calls are allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
            Ok(())
        });
    }
    let (status, _, errors) = run(&mut command);
    assert_eq!(status, 2, "{errors}");
    assert!(errors.contains("full.jsonl.journal: ") && errors.contains("--resume goes on"), "{errors}");
    assert!(rows(&out.path().join("full.jsonl.journal")) > 0);
    run(classify().arg(folder.path()).arg("-o").arg(&full).arg("--resume"));
    assert_eq!(fs::read(&full).unwrap(), fs::read(&whole).unwrap());
}

#[test]
fn a_clip_that_changed_is_done_again() {
    let folder = folder(1);
    let output = folder.path().join("labels.csv");
    let again = || run(classify().arg(folder.path()).arg("-o").arg(&output).arg("--resume"));
    again();
    let first = fs::read_to_string(&output).unwrap();
    let (_, _, errors) = again();
    assert!(errors.contains("4 clips known"), "{errors}");
    assert_eq!(fs::read_to_string(&output).unwrap(), first);

    fs::copy(samples().join("bikes.mp4"), folder.path().join("jumping_jacks_0.mp4")).unwrap();
    let (_, _, errors) = again();
    assert!(errors.contains("3 clips known"), "{errors}");
    let second = fs::read_to_string(&output).unwrap();
    let facts = |name: &str| {
        let row = second.lines().find(|l| l.contains(name)).unwrap();
        row.split(',').skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(facts("jumping_jacks_0"), facts("bikes_0"), "the new content's labels");

    let (_, _, errors) =
        run(classify().arg(folder.path()).arg("-o").arg(&output).args(["--resume", "--retry-failed"]));
    assert!(errors.contains("3 clips known") && errors.contains("broken.mp4"), "{errors}");
}

#[test]
fn what_an_earlier_run_left_is_never_overwritten_unasked() {
    let folder = folder(1);
    let out = tempfile::tempdir().unwrap();
    let output = out.path().join("labels.csv");
    fs::write(out.path().join("labels.csv.journal"), "{\"journal\":\"classify\",\"version\":1,").unwrap();
    let (status, _, errors) = run(classify().arg(folder.path()).arg("-o").arg(&output));
    assert_eq!(status, 2);
    assert!(errors.contains("--resume goes on") && errors.contains("--force starts anew"), "{errors}");
    fs::remove_file(out.path().join("labels.csv.journal")).unwrap();
    fs::write(&output, "mine").unwrap();
    let (status, ..) = run(classify().arg(folder.path()).arg("-o").arg(&output).arg("--resume"));
    assert_eq!((status, fs::read_to_string(&output).unwrap().as_str()), (2, "mine"));
}

#[test]
fn a_clip_that_takes_too_long_is_given_up() {
    let folder = folder(1);
    let start = Instant::now();
    let (status, rows, _) = run(full().arg(folder.path()).args([
        "--timeout",
        "0.001",
        "--format",
        "csv",
        "--model",
        "imagenet-lite0",
    ]));
    assert_eq!(status, 1);
    // The broken clip may be found out in less than the limit.
    assert!(rows.matches("not done within 0 s; --timeout allows more").count() >= 3, "{rows}");
    assert_eq!(rows.lines().skip(1).filter(|row| row.contains(",,,,,,")).count(), 4, "{rows}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

/// Stands for a crash inside the decoder library: the worker dies in the middle of a clip.
#[test]
fn a_worker_that_dies_costs_its_clip_only() {
    let folder = folder(2);
    let mut command = full();
    command.arg(folder.path()).args(["--format", "csv", "--model", "imagenet-lite0", "--frames", "64"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let worker = loop {
        assert!(Instant::now() < deadline, "no worker to be seen");
        // Busy for a while, so that it has begun a clip.
        match worker_of(child.id()) {
            Some((pid, ticks)) if ticks > 30 => break pid,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    // Not a segmentation fault: the runtime's handler lets one that is only sent pass.
    // SAFETY: the process is a child of the child, which still runs.
    unsafe { libc::kill(worker, libc::SIGABRT) };
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    let rows = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(rows.matches("crashed the decoder: abort (signal 6)").count(), 1, "{rows}");
    assert_eq!(rows.lines().count(), 8, "{rows}");
    assert_eq!(rows.lines().skip(1).filter(|l| l.ends_with(',')).count(), 5, "{rows}");
}

/// A child process of `parent` and the processor time that it took, in hundredths of a second.
fn worker_of(parent: u32) -> Option<(i32, u64)> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let pid = entry.file_name().to_str()?.parse().ok()?;
        (fields[1] == parent.to_string()).then_some((pid, fields[11].parse().ok()?))
    })
}

#[test]
fn shares_make_up_the_whole_and_lists_are_inputs() {
    let folder = folder(2);
    let paths = |arguments: &[&str]| -> Vec<String> {
        let (_, rows, errors) = run(classify().args(arguments).args(["--format", "csv"]));
        assert!(!rows.is_empty(), "{errors}");
        rows.lines().skip(1).map(|l| l.split(',').next().unwrap().to_owned()).collect()
    };
    let all = paths(&[folder.path().to_str().unwrap()]);
    let list = folder.path().join("list");
    fs::write(&list, all.join("\0")).unwrap();
    let mut shared = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        shared.extend(paths(&["--list", list.to_str().unwrap(), "-0", "--shard", shard]));
    }
    shared.sort();
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(shared, sorted);
}

#[test]
fn check_lists_what_is_broken_or_damaged() {
    let folder = folder(1);
    let whole = fs::read(samples().join("bikes.mp4")).unwrap();
    // Its index is at the end of the file: without it nothing can be found.
    fs::write(folder.path().join("stump.mp4"), &whole[..whole.len() / 2]).unwrap();
    let check = || {
        let mut command = full();
        command.arg("check").arg(folder.path());
        command
    };
    let (status, lines, errors) = run(&mut check());
    assert_eq!(status, 1);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("broken.mp4: not a video") && lines.contains("stump.mp4: truncated"), "{lines}");
    assert!(errors.contains("3 of 5 clips are good, 0 damaged, 2 broken"), "{errors}");
    let (_, lines, _) = run(check().arg("--json"));
    let rows: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let bikes = rows.iter().find(|row| row["path"].as_str().unwrap().contains("bikes")).unwrap();
    assert_eq!((bikes["frames"].as_u64(), bikes["duration_s"].as_f64()), (Some(250), Some(10.0)));
}

#[test]
fn merged_shares_are_the_whole_to_the_byte() {
    let folder = folder(2);
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name);
    run(classify().arg(folder.path()).arg("-o").arg(path("whole.csv")));
    for shard in ["0/2", "1/2"] {
        let part = path(&shard.replace('/', "of")).with_extension("csv");
        let (status, _, errors) =
            run(classify().arg(folder.path()).args(["--shard", shard]).arg("-o").arg(&part));
        assert!(status < 2, "{errors}");
    }
    let merge = |parts: &[&str], to: &str| {
        let mut command = full();
        command.arg("merge").args(parts.iter().map(|p| path(p))).arg("-o").arg(path(to));
        run(command.arg("--expect").arg(folder.path()))
    };
    let (status, _, errors) = merge(&["0of2.csv", "1of2.csv"], "all.csv");
    assert_eq!(status, 0, "{errors}");
    assert_eq!(fs::read(path("all.csv")).unwrap(), fs::read(path("whole.csv")).unwrap());
    let (status, _, errors) = merge(&["0of2.csv", "0of2.csv"], "half.jsonl");
    assert_eq!(status, 1, "{errors}");
    assert!(errors.contains("missing: in none of the outputs") && errors.contains("double"), "{errors}");
}

#[test]
fn parquet_holds_what_csv_holds() {
    let folder = folder(1);
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name);
    for name in ["a.csv", "a.parquet"] {
        let (status, _, errors) = run(classify().arg(folder.path()).args(["-k", "3", "-o"]).arg(path(name)));
        assert_eq!(status, 1, "{errors}");
    }
    let mut command = full();
    run(command.arg("merge").arg(path("a.parquet")).arg("-o").arg(path("b.csv")));
    assert_eq!(fs::read_to_string(path("b.csv")).unwrap(), fs::read_to_string(path("a.csv")).unwrap());
}

/// More rows than are written as one group of a Parquet file, and results of a thousand columns.
#[test]
fn parquet_is_whole_however_long_it_is_and_wherever_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let clips = path("clips");
    fs::create_dir(&clips).unwrap();
    for clip in 0..10_100 {
        fs::write(clips.join(format!("{clip}.mp4")), "").unwrap();
    }
    let (status, _, errors) = run(classify().arg(&clips).arg("-q").arg("-o").arg(path("long.parquet")));
    assert_eq!(status, 1, "{errors}");
    let (_, _, errors) = run(full().arg("merge").arg(path("long.parquet")).arg("-o").arg(path("long.csv")));
    assert!(errors.contains("10,100 clips") || errors.contains("10100 clips"), "{errors}");
    assert_eq!(fs::read_to_string(path("long.csv")).unwrap().lines().count(), 10_101);

    let wide = || {
        let mut command = classify();
        command.arg(samples()).args(["-k", "1000"]);
        command
    };
    run(wide().arg("-o").arg(path("file.parquet")));
    let piped = wide().args(["--format", "parquet"]).output().unwrap().stdout;
    assert!(piped == fs::read(path("file.parquet")).unwrap(), "the same bytes through a pipe");
}

#[test]
fn a_report_shows_every_clip_in_one_file() {
    let folder = folder(1);
    let out = tempfile::tempdir().unwrap();
    let report = out.path().join("report");
    let (status, rows, errors) =
        run(classify().arg(folder.path()).args(["--format", "csv", "--report"]).arg(&report));
    assert_eq!(status, 1);
    assert!(errors.contains("index.html"), "{errors}");
    let page = fs::read_to_string(report.join("index.html")).unwrap();
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 3);
    assert!(rows.lines().skip(1).all(|row| page.contains(row.split(',').next().unwrap())));
    assert!(page.contains("not a video that FFmpeg can read"));
    assert_eq!(fs::read_dir(&report).unwrap().count(), 1, "few clips are all in the page");
    // From the journal, after the fact.
    let output = out.path().join("a.csv");
    run(classify().arg(folder.path()).arg("-o").arg(&output).arg("--resume"));
    let again = out.path().join("again");
    run(classify().arg(folder.path()).arg("-o").arg(&output).args(["--resume", "--report"]).arg(&again));
    let again = fs::read_to_string(again.join("index.html")).unwrap();
    assert_eq!(again.matches("data:image/jpeg;base64,").count(), 3, "strips of known clips are made up for");
}

#[test]
fn sorting_shows_first_and_links_when_told() {
    let folder = folder(1);
    let out = tempfile::tempdir().unwrap();
    let sorted = out.path().join("sorted");
    let sort = |more: &[&str]| {
        run(classify().arg(folder.path()).args(["--format", "csv", "--sort-into"]).arg(&sorted).args(more))
    };
    let (_, rows, errors) = sort(&[]);
    assert!(errors.contains("3 clips would be linked") && errors.contains("--yes does it"), "{errors}");
    assert!(!sorted.exists());
    let (_, _, errors) = sort(&["--yes"]);
    assert!(errors.contains("3 clips linked"), "{errors}");
    for row in rows.lines().skip(1).filter(|row| row.ends_with(',')) {
        let cells: Vec<&str> = row.split(',').collect();
        let link = sorted.join(cells[1]).join(Path::new(cells[0]).file_name().unwrap());
        assert_eq!(fs::read_link(&link).unwrap(), Path::new(cells[0]).canonicalize().unwrap());
    }
    let (_, _, errors) = sort(&["--yes"]);
    assert!(errors.contains("0 clips linked into") && errors.contains("3 were there"), "{errors}");
}
