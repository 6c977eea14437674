//! How a server ends, and what stays.

use std::os::unix::process::ExitStatusExt;

use crate::client::{Answer, Ask};
use crate::process::{Server, clip};

fn signal(process: i32, signal: i32) -> i32 {
    // SAFETY: the process is a child of our child, or was; the worst is that there is none.
    unsafe { libc::kill(process, signal) }
}

#[test]
fn what_runs_is_answered_before_it_ends() {
    for ending in [libc::SIGTERM, libc::SIGINT] {
        let mut server = Server::quick(&[]);
        let worker = server.workers()[0];
        assert_eq!(signal(worker, libc::SIGSTOP), 0);
        let running = Ask::post(server.port, "/classify", clip()).begin();
        server.until("it runs", |server| server.metric("classify_running") == 1.0);
        server.signal(ending);
        let closed = |port| std::net::TcpStream::connect(("127.0.0.1", port)).is_err();
        server.until("it takes no more", |server| closed(server.port));
        assert_eq!(signal(worker, libc::SIGCONT), 0);
        Answer::read(running).status(200);
        assert_eq!(server.ended().code(), Some(0), "{}", server.said());
        server.keeps_nothing();
    }
}

#[test]
fn a_killed_server_leaves_nothing() {
    let mut server = Server::quick(&[]);
    server.post("/classify", clip()).status(200);
    let half = Ask::post(server.port, "/classify", clip()).claims(clip().len() + 1).begin();
    let film = Ask::post(server.port, "/timeline", clip()).begin();
    server.until("both are in", |server| server.metric("classify_queue_length") >= 1.0);
    let workers = server.workers();
    assert!(!workers.is_empty());
    server.signal(libc::SIGKILL);
    assert_eq!(server.ended().signal(), Some(libc::SIGKILL));
    drop((half, film));
    let gone = |worker: &i32| {
        let state = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    server.until("the workers have ended", |_| workers.iter().all(gone));
    server.keeps_nothing();
}
