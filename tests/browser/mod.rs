//! What drives a browser without a screen, for all tests of pages.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tempfile::TempDir;

/// A started chromedriver and all browsers that it starts; they end with it.
pub(crate) struct Driver {
    child: Child,
    address: String,
    /// Where the browsers keep what they keep, as they leave it behind when they are killed.
    _home: TempDir,
    /// Stays open: chromedriver would die of its next word.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    /// On a free port; `None`, with a word, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let command = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let Ok(mut child) = command else {
            println!("skipped: needs chromium and chromedriver (Debian: chromium-driver)");
            return None;
        };
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, port)) = line.trim_end().split_once("successfully on port ") {
                let address = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
                return Some(Self { child, address, _home: home, _output: output });
            }
            line.clear();
        }
        panic!("chromedriver ended without a port");
    }

    /// Starts a browser.
    pub(crate) async fn browser(&self, capabilities: Capabilities) -> Client {
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder
            .capabilities(capabilities)
            .connect(&self.address)
            .await
            .expect("chromedriver starts a browser")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: the group is that of the process which was started here and isn't collected yet.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}
