//! What comes of clips in a bucket, where nothing goes wrong.

use std::path::Path;
use std::process::Command;

use crate::proxy::Fault;
use crate::servers::Kind;
use crate::store::{QUICK, Store, sample};

/// Puts clips into the bucket below `in/`, and into a folder of the user; some are none.
pub(crate) fn fill(store: &Store) {
    let clips = [
        ("in/a.mp4", sample("bikes.mp4")),
        ("in/b c/é+1.mp4", sample("jumping_jacks.mp4")),
        ("in/b c/z.mkv", sample("bikes.mp4")),
        ("in/cut.mp4", sample("bikes.mp4")[..20_000].to_vec()),
        ("in/empty.mp4", Vec::new()),
        ("in/none.mp4", b"no video at all".to_vec()),
        ("in/notes.txt", b"notes".to_vec()),
    ];
    for (key, content) in clips {
        store.put(&key.replace(' ', "%20").replace('+', "%2B").replace('é', "%C3%A9"), &content);
        let path = store.home.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// The rows of a table, in the order of their paths, with the bucket's address off.
pub(crate) fn rows(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let plain = |line: &str| {
        ["s3://clips/", "gs://clips/", "az://clips/"]
            .iter()
            .fold(line.to_owned(), |line, root| line.replace(root, ""))
    };
    let mut rows: Vec<String> = text.lines().map(plain).collect();
    rows.sort();
    rows
}

/// Labels a folder and the same clips in a bucket, and compares.
fn labelled_as_a_folder(store: &Store) {
    fill(store);
    store.run(&[&["in", "-o", "local.csv"][..], &QUICK].concat()).code(1);
    let folder = format!("{}://clips/in/", store.kind.scheme());
    let ran = store.run(&[&[&folder, "-o", "store.csv"][..], &QUICK].concat()).code(1);
    let home = store.home.path();
    assert_eq!(rows(&home.join("store.csv")), rows(&home.join("local.csv")));
    // The store's own order.
    let text = std::fs::read_to_string(home.join("store.csv")).unwrap();
    let order: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert!(order.is_sorted() && order[1] == format!("{folder}b c/z.mkv"), "{order:?}");
    let secret = store.kind.secret();
    assert!(!ran.stderr().contains(secret) && !text.contains(secret));
    assert!(store.proxy.asked().iter().any(|line| line.contains("bytes=0-")), "in parts");
}

#[test]
fn a_bucket_is_labelled_as_a_folder_is() {
    let Some(store) = Store::start() else { return };
    labelled_as_a_folder(&store);
    // One clip, by its address; and as any web server has it.
    let one = store.run(&[&["s3://clips/in/b c/é+1.mp4"][..], &QUICK].concat()).code(0).stdout();
    let local = store.run(&[&["in/b c/é+1.mp4"][..], &QUICK].concat()).code(0).stdout();
    assert_eq!(one.replace("s3://clips/", ""), local);
    let address = format!("{}/clips/in/b%20c/%C3%A9%2B1.mp4", store.proxy.address());
    let web = store.run(&[&[address.as_str()][..], &QUICK].concat()).code(0).stdout();
    assert_eq!(web.replace(&address, "in/b c/é+1.mp4"), local);
}

#[test]
fn a_bucket_of_google_s_is_labelled_as_a_folder_is() {
    let Some(store) = Store::of(Kind::Google) else { return };
    labelled_as_a_folder(&store);
    store.run(&[&["gs://nowhere/in/"][..], &QUICK].concat()).code(2).says(&["gs://nowhere/in/"]);
}

/// Google's way of writing is Amazon's, and Google's server here doesn't know it.
#[test]
fn results_are_put_into_google_s_store() {
    let Some(store) = Store::between(Kind::Google, Kind::Amazon) else { return };
    store.put("in/a.mp4", &sample("bikes.mp4"));
    store.run(&[&["gs://clips/in/", "-o", "gs://clips/out/labels.csv"][..], &QUICK].concat()).code(0);
    assert!(String::from_utf8(store.get("out/labels.csv")).unwrap().contains("gs://clips/in/a.mp4,"));
}

#[test]
fn a_container_of_azure_s_is_labelled_as_a_folder_is() {
    let Some(store) = Store::of(Kind::Azure) else { return };
    labelled_as_a_folder(&store);
    let args = [&["az://clips/in/", "-o", "az://clips/out/labels.csv"][..], &QUICK].concat();
    store.run(&args).code(1);
    store.run(&args).code(2).says(&["az://clips/out/labels.csv", "exists already"]);
    let home = store.home.path();
    std::fs::write(home.join("there.csv"), store.get("out/labels.csv")).unwrap();
    assert_eq!(rows(&home.join("there.csv")), rows(&home.join("local.csv")));
}

#[test]
fn results_appear_whole_or_not_at_all() {
    let Some(store) = Store::start() else { return };
    store.put("in/a.mp4", &sample("bikes.mp4"));
    let args = [&["s3://clips/in/", "-o", "s3://clips/out/labels.parquet"][..], &QUICK].concat();
    store.run(&args).code(0);
    assert!(store.get("out/labels.parquet").starts_with(b"PAR1"));
    assert_eq!(std::fs::read_dir(store.home.path()).unwrap().count(), 0, "the journal is gone");
    store.run(&args).code(2).says(&["s3://clips/out/labels.parquet", "exists already", "--force"]);
    store.run(&[&args[..], &["--force"]].concat()).code(0);
    // A store that takes nothing: the journal stays, and the run goes on from there.
    store.proxy.plan(|line, _| line.starts_with("PUT").then_some(Fault::Status(403)));
    let csv = [&["s3://clips/in/", "-o", "s3://clips/out/labels.csv"][..], &QUICK].concat();
    store.run(&csv).code(2).says(&["s3://clips/out/labels.csv", "credentials"]);
    store.proxy.plan(|_, _| None);
    store.run(&[&csv[..], &["--resume"]].concat()).code(0);
    assert!(String::from_utf8(store.get("out/labels.csv")).unwrap().contains("s3://clips/in/a.mp4,"));
    let heads = store.proxy.asked().iter().filter(|line| line.starts_with("GET /clips/in/a.mp4")).count();
    assert_eq!(heads, 0, "the clip was known");
}

#[test]
fn of_a_long_video_only_parts_are_fetched() {
    let Some(store) = Store::start() else { return };
    let video = store.home.path().join("long.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=1280x720:d=60,noise=alls=12:allf=t",
            "-pix_fmt",
        ])
        .args(["yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-b:v", "4M"])
        .arg(&video)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no ffmpeg to make a long video with");
        return;
    }
    let content = std::fs::read(&video).unwrap();
    assert!(content.len() > 20 << 20, "{}", content.len());
    store.put("long.mp4", &content);
    let local = store.run(&[&["long.mp4"][..], &QUICK].concat()).code(0).stdout();
    store.proxy.plan(|_, _| None);
    let far = store.run(&[&["s3://clips/long.mp4"][..], &QUICK].concat()).code(0).stdout();
    assert_eq!(far.replace("s3://clips/", ""), local);
    let (sent, asked) = (store.proxy.sent(), store.proxy.asked().len());
    eprintln!("{sent} of {} bytes in {asked} requests", content.len());
    assert!(sent < content.len() / 4, "{sent} of {} bytes", content.len());
}
