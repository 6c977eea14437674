//! The person's browser.

use std::process::{Command, Stdio};

/// Has the person's browser open `address`; whether there is one to ask.
pub(super) fn open(address: &str) -> bool {
    let (program, is_there) = match std::env::consts::OS {
        "macos" => ("open", true),
        // Without a screen it would start a browser in this terminal, if any.
        _ => ("xdg-open", ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())),
    };
    if !is_there {
        return false;
    }
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    match quiet(Command::new(program).arg(address)) {
        Ok(mut child) => {
            // Collected whenever it ends: it may be the browser itself.
            std::thread::spawn(move || child.wait());
            true
        }
        Err(_) => false,
    }
}
